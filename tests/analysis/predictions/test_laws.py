"""Every law against closed forms, and what each says of its broken assumptions."""

from __future__ import annotations

import math

import pytest

from analysis.laws.prediction import value_faults
from analysis.laws.reasons import INDEPENDENT, NO_STATIONARY_STATE, SHUFFLED, UNSTABLE
from analysis.laws.spectral_law import NOT_IN_THIS_MODE, NOT_MEASURED
from analysis.mathematics.uncertain import Uncertain
from analysis.predictions import finite_time, laws, shuffled
from analysis.records.seed_values import SeedValues

ETA, M, N = 0.001, 50, 1000
CURVATURE, MASS = 30.0, 7.0

ONE_TARGET = {
    "wang_4_45": ("excess_loss", "gradient_noise_trace", ETA / (4 * M)),
    "jastrzebski_9": ("excess_loss", "hessian_trace", ETA / (4 * M)),
    "wang_4_46": ("expected_gradient_norm_squared", "hessian_noise_trace", ETA / (2 * M)),
}
SPECTRAL = ("finite_learning_rate", "finite_time", "shuffled")


@pytest.fixture
def at_one_curvature(make_conditions, make_spectrum, exact):
    """Make conditions whose μ_σ is the mass 7 at λ = 30; tr σ² = 7 is exact, its draws are not."""

    def make(curvature=CURVATURE, **changes):
        noise = {seed: make_spectrum([(curvature, 5.0)], [(curvature, 11.0)]) for seed in (0, 1)}
        inputs = {"gradient_noise_trace": exact(seed0=MASS, seed1=MASS)}
        return make_conditions(**{"noise": noise, "inputs": inputs} | changes)

    return make


@pytest.mark.parametrize("name", ONE_TARGET)
def test_a_trace_law_is_its_prefactor_times_the_trace(name, make_conditions, exact):
    """Mean 5 over seeds 4 and 6, its error 1 from their spread, and no error within a seed."""
    target, quantity, factor = ONE_TARGET[name]
    (found,) = laws()[name](make_conditions(inputs={quantity: exact(seed0=4.0, seed1=6.0)}))
    assert found.predicted == pytest.approx(factor * 5)
    assert found.predicted_stderr == pytest.approx(factor * 1.0)
    assert (found.target, found.statistic_id) == (target, "s1")
    assert found.faults == found.remarks == ()


def test_the_prefactors_are_those_of_the_papers(make_conditions, exact):
    """η/4m·tr σ², η/4m·tr H, η/2m·tr(σ²H), by numbers: a factor of 2 in any law is seen here."""
    values = {quantity: exact(seed0=600.0) for _, quantity, _ in ONE_TARGET.values()}
    conditions = make_conditions(inputs=values, seeds=(0,), learning_rate=0.1)
    found = {name: laws()[name](conditions)[0].predicted for name in ONE_TARGET}
    assert found == pytest.approx({"wang_4_45": 0.3, "jastrzebski_9": 0.3, "wang_4_46": 0.6})


def test_the_laws_agree_where_noise_is_curvature(make_conditions, exact):
    """With σ² = H the first two laws are one."""
    same = exact(seed0=40.0, seed1=80.0)
    conditions = make_conditions(inputs={"gradient_noise_trace": same, "hessian_trace": same})
    both = [laws()[name](conditions)[0].predicted for name in ("wang_4_45", "jastrzebski_9")]
    assert both[0] == both[1]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_one_curvature_has_the_closed_form_of_finite_steps(at_one_curvature, momentum):
    """ΔL = ηc/(4m(1-μ)(1 - ηλ/(2(1+μ)))) and G = 2λΔL; the draws' masses 5 and 11 are no matter."""
    loss, gradient = laws()["finite_learning_rate"](at_one_curvature(momentum=momentum))
    correction = 1 / (1 - ETA * CURVATURE / (2 * (1 + momentum)))
    wanted = ETA / (4 * M * (1 - momentum)) * MASS * correction
    assert loss.predicted == pytest.approx(wanted, rel=1e-12)
    assert gradient.predicted == pytest.approx(2 * CURVATURE * wanted, rel=1e-12)
    assert loss.by_seed[0].stderr == pytest.approx(0, abs=1e-18)
    assert (loss.target, gradient.target) == ("excess_loss", "expected_gradient_norm_squared")
    assert loss.statistic_id == "s2"


@pytest.mark.parametrize("curvature", [CURVATURE, -CURVATURE])
def test_one_curvature_has_the_closed_form_of_finite_time(at_one_curvature, curvature):
    """(ηc/2m)(1 - (1-ηλ)^{2t})/(2-ηλ), mean over the steps of the window; downhill it is negative."""
    steps = (20, 30, 40)
    loss, gradient = laws()["finite_time"](at_one_curvature(curvature, steps=steps, num_steps=40))
    decays = [(1 - ETA * curvature) ** (2 * step) for step in steps]
    wanted = ETA * MASS / (2 * M) * (1 - sum(decays) / 3) / (2 - ETA * curvature)
    assert loss.predicted == pytest.approx(wanted, rel=1e-10)
    assert gradient.predicted == pytest.approx(2 * curvature * wanted, rel=1e-10)
    assert (wanted > 0) == (curvature > 0)


def test_a_factor_of_two_in_a_law_is_caught(at_one_curvature, monkeypatch):
    """The closed form above fails for a law that is twice what it should be."""
    energy = finite_time.linear_dynamics.independent_variance
    doubled = lambda *arguments: 2 * energy(*arguments)  # noqa: E731 - one line says it
    monkeypatch.setattr(finite_time.linear_dynamics, "independent_variance", doubled)
    with pytest.raises(AssertionError):
        test_one_curvature_has_the_closed_form_of_finite_time(at_one_curvature, CURVATURE)


def test_a_tail_is_at_infinite_time(at_one_curvature):
    """Without steps `finite_time` is `finite_learning_rate`."""
    conditions = at_one_curvature(momentum=0.5)
    both = [laws()[name](conditions) for name in ("finite_time", "finite_learning_rate")]
    assert [each.predicted for each in both[0]] == [each.predicted for each in both[1]]


def test_one_curvature_has_the_closed_form_of_shuffled_epochs(at_one_curvature):
    """V_phase = a^{2t}·q(K)/(1 - a^{2K}) + q(t), with q(t) = η²v[K·S₂(t) - S₁(t)²]/(K - 1), mean over t."""
    (loss, gradient) = laws()["shuffled"](at_one_curvature(sampler="shuffle"))
    num_batches, a = N // M, 1 - ETA * CURVATURE
    per_step = MASS / M * (N - M) / (N - 1)

    def after(steps):
        once, twice = (1 - a**steps) / (1 - a), (1 - a ** (2 * steps)) / (1 - a * a)
        return ETA**2 * per_step / (num_batches - 1) * (num_batches * twice - once**2)

    end = after(num_batches) / (1 - a ** (2 * num_batches))
    phases = [a ** (2 * step) * end + after(step) for step in range(num_batches)]
    variance = sum(phases) / num_batches
    assert loss.predicted == pytest.approx(CURVATURE * variance / 2, rel=1e-9)
    assert gradient.predicted == pytest.approx(CURVATURE**2 * variance, rel=1e-9)


def test_the_first_step_of_an_epoch_differs_by_the_finite_population(at_one_curvature):
    """After one step the shuffled variance is the independent one times (N - m)/(N - 1)."""
    window = {"steps": (1,), "num_steps": 1}
    (independent, _) = finite_time.predict(at_one_curvature(**window))
    (without, _) = shuffled.predict(at_one_curvature(sampler="shuffle", **window))
    assert without.predicted == pytest.approx(independent.predicted * (N - M) / (N - 1), rel=1e-12)


def test_whole_batches_make_no_noise(at_one_curvature):
    """With m = N every shuffled batch is the training set."""
    (loss, _) = laws()["shuffled"](at_one_curvature(sampler="shuffle", num_train=M))
    assert loss.predicted == 0


def test_the_first_moment_serves_where_no_product_was_measured(at_one_curvature, exact):
    """tr(σ²H) = tr σ²·(share of λ); one measured apart is preferred, one from bare draws is not."""
    conditions = at_one_curvature()
    (found,) = laws()["wang_4_46"](conditions)
    assert found.predicted == pytest.approx(ETA / (2 * M) * MASS * CURVATURE)
    assert found.statistic_id == "s2"
    for statistic, wanted in (("spectrum", MASS * CURVATURE), ("noise_curvature", 1.0)):
        inputs = {"hessian_noise_trace": exact(statistic=statistic, seed0=1.0, seed1=1.0)}
        changed = at_one_curvature(inputs={**conditions.inputs, **inputs})
        (found,) = laws()["wang_4_46"](changed)
        assert found.predicted == pytest.approx(ETA / (2 * M) * wanted)


def test_the_draws_give_an_interval(make_conditions, make_spectrum, exact):
    """Two draws whose share of λ is 10 and 20: mean 15, error 5, one degree of freedom; × exact tr σ²."""
    noise = {0: make_spectrum([(10.0, 1.0)], [(20.0, 1.0)])}
    inputs = {"gradient_noise_trace": exact(seed0=2.0)}
    (found,) = laws()["wang_4_46"](make_conditions(noise=noise, inputs=inputs, seeds=(0,)))
    only = found.by_seed[0]
    factor = ETA / (2 * M) * 2.0
    assert (only.value, only.stderr) == (pytest.approx(factor * 15), pytest.approx(factor * 5))
    assert only.degrees == pytest.approx(1)
    assert found.predicted_stderr == pytest.approx(factor * 5)


@pytest.mark.parametrize("name", [*ONE_TARGET, "finite_learning_rate"])
def test_broken_assumptions_are_said(name, at_one_curvature, exact):
    """No weight decay, diverged and unstable seeds, shuffling: each has its sentence."""
    values = {quantity: exact(seed0=1.0, seed1=1.0) for _, quantity, _ in ONE_TARGET.values()}

    def faults(**changes):
        return laws()[name](at_one_curvature(inputs=values, **changes))[0].faults

    assert faults(weight_decay=0.0) == (NO_STATIONARY_STATE,)
    assert faults(weight_decay=0.0, loss="squared_error") == ()
    assert faults(num_diverged=1) == (UNSTABLE,)
    assert faults(sampler="shuffle") == (SHUFFLED,)
    assert faults(statistic="fork", num_unstable=2) == (
        "fork of 2 seeds was unstable at η = 0.001",
    )
    plain = (
        () if name == "finite_learning_rate" else ("the law is for plain SGD, and momentum is 0.9",)
    )
    assert faults(momentum=0.9) == plain


def test_like_is_compared_with_like(at_one_curvature):
    """A law of independent batches is not for shuffled ones, nor the other way round."""
    window = {"steps": (10,), "num_steps": 10}
    assert finite_time.predict(at_one_curvature(sampler="shuffle", **window))[0].faults == (
        SHUFFLED,
    )
    assert shuffled.predict(at_one_curvature(**window))[0].faults == (INDEPENDENT,)
    assert finite_time.predict(at_one_curvature(**window))[0].faults == ()
    assert shuffled.predict(at_one_curvature(sampler="shuffle", **window))[0].faults == ()


def test_finite_time_needs_no_stationary_state(at_one_curvature):
    """Without weight decay, and with a saddle, a fork is still predicted."""
    window = {"steps": (10,), "num_steps": 10}
    for curvature in (CURVATURE, -CURVATURE):
        (loss, _) = finite_time.predict(at_one_curvature(curvature, weight_decay=0.0, **window))
        assert loss.faults == ()


def test_short_windows_are_for_laws_of_finite_time(at_one_curvature):
    """A stationary law has a row for the longest window alone."""
    conditions = at_one_curvature(steps=(10,), num_steps=10, is_longest=False)
    counts = {name: len(law(conditions)) for name, law in laws().items()}
    assert {name for name, count in counts.items() if count} == {"finite_time", "shuffled"}


def test_a_stationary_law_says_what_is_not_equilibrated(at_one_curvature):
    """At ηλT = 0.3 nothing of tr σ² is at rest: said as a remark, and as a broken assumption."""
    conditions = at_one_curvature(steps=(10,), num_steps=10)
    for name in ("wang_4_45", "finite_learning_rate"):
        found = laws()[name](conditions)[0]
        assert found.remarks == ("100.0 % of tr σ² is not equilibrated after 10 steps",)
        assert found.faults == (
            "not so in 2 of 2 seeds: the noise has been forgotten where it acts: the share of tr σ² "
            "with ηλT/(1-μ) < 1 is below 5 %, here 1",
        )
    at_rest = laws()["wang_4_45"](at_one_curvature(steps=(100,), num_steps=100))[0]
    assert at_rest.faults == ()
    assert at_rest.remarks == ("0.0 % of tr σ² is not equilibrated after 100 steps",)


def test_nothing_is_predicted_beyond_stability(at_one_curvature):
    """At ηλ = 2 a stationary state is no more; a fork of few steps still has its variance."""
    (loss, gradient) = laws()["finite_learning_rate"](at_one_curvature(curvature=2 / ETA))
    assert loss.predicted is gradient.predicted is None
    assert loss.faults == ("ηλ ≥ 2(1+μ) at λ = 2e+03: SGD runs away there",)
    (loss, _) = finite_time.predict(at_one_curvature(2 / ETA, steps=(3,), num_steps=3))
    assert loss.predicted == pytest.approx(2 / ETA / 2 * 3 * ETA**2 * MASS / M)
    assert loss.faults == ("ηλ ≥ 2(1+μ) at λ = 2e+03: SGD runs away there",)


@pytest.mark.parametrize("name", ONE_TARGET)
def test_without_a_trace_nothing_is_predicted(name, make_conditions):
    """The reason names the quantity."""
    (found,) = laws()[name](make_conditions())
    assert (found.predicted, found.predicted_stderr, found.statistic_id) == (None, None, None)
    symbol = {"wang_4_45": "tr σ²", "jastrzebski_9": "tr H", "wang_4_46": "tr(σ²H)"}[name]
    assert found.faults == (f"{symbol} was not measured",)


@pytest.mark.parametrize("name", SPECTRAL)
def test_without_a_spectrum_nothing_is_predicted(name, make_conditions):
    """Both targets keep their rows and say why."""
    for mode, reason in (("frozen", NOT_MEASURED), ("batch", NOT_IN_THIS_MODE)):
        found = laws()[name](make_conditions(bn_mode=mode, sampler="replacement"))
        assert [each.predicted for each in found] == [None, None]
        assert all(each.faults[0] == reason for each in found)


def test_one_seed_predicts_with_its_own_error(make_conditions, make_spectrum):
    """The spread over seeds is unknown, so the estimator's error stands; unknown for one draw."""
    spectrum = make_spectrum([(10.0, 3.0)])
    found = laws()["finite_learning_rate"](make_conditions(noise={0: spectrum}, seeds=(0,)))[0]
    assert math.isclose(found.predicted, ETA / (4 * M) * 3 / (1 - ETA * 10 / 2))
    assert found.predicted_stderr is None


def test_a_law_predicts_what_it_declares(make_conditions, make_spectrum, exact):
    """No target beside those, and nothing of a short window unless it speaks of every one."""
    inputs = {name: exact(seed0=1.0) for name in ("gradient_noise_trace", "hessian_trace")}
    for law in laws().values():
        for is_longest in (True, False):
            conditions = make_conditions(
                inputs=inputs, noise={0: make_spectrum([(3.0, 1.0)])}, seeds=(0,),
                steps=(10,), num_steps=10, is_longest=is_longest, sampler=law.sampler,
            )  # fmt: skip
            found = law(conditions)
            assert {each.target for each in found} <= set(law.targets)
            assert not found or is_longest or law.windows == "every"


def _streams(noise, stderr):
    """Say that streams met this noise, by the ends of windows; the same for both seeds."""
    return {
        ("gradient_noise_trace", end): SeedValues(
            "s3", "fork", {0: value, 1: value}, dict.fromkeys((0, 1), Uncertain(value, stderr, 31))
        )
        for end, value in noise.items()
    }


def test_the_noise_met_on_the_way_takes_the_place_of_that_at_the_start(at_one_curvature):
    """Half of it in steps 0-9, a quarter after: two geometric sums; its error of 2 % adds to the law's."""
    window = {"steps": (20,), "num_steps": 20}
    indexed = _streams({10: MASS / 2, 20: MASS / 4}, stderr=0.02 * MASS / 4)
    loss, gradient = laws()["finite_time_drift"](at_one_curvature(indexed=indexed, **window))
    decay = (1 - ETA * CURVATURE) ** 2
    late, early = (
        (1 - decay**10) / (1 - decay),
        decay**10 * (1 - decay**10) / (1 - decay),
    )
    wanted = CURVATURE / 2 * ETA**2 * MASS / M * (early / 2 + late / 4)
    assert loss.predicted == pytest.approx(wanted, rel=1e-10)
    assert gradient.predicted == pytest.approx(2 * CURVATURE * wanted, rel=1e-10)
    assert loss.by_seed[0].stderr == pytest.approx(0.02 * wanted, rel=1e-6)
    same = _streams({10: MASS, 20: MASS}, stderr=0.0)
    both = [
        laws()[name](at_one_curvature(indexed=same, **window))[0].predicted
        for name in ("finite_time", "finite_time_drift")
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-12)


def test_the_noise_on_the_way_is_for_forks_of_independent_batches(at_one_curvature):
    """Nothing is said of a tail, of shuffled streams, or where the noise was not measured."""
    indexed = _streams({10: MASS}, stderr=0.0)
    window = {"steps": (10,), "num_steps": 10}
    for changes in (
        {"indexed": indexed},
        {"indexed": indexed, "sampler": "shuffle"} | window,
        window,
    ):
        assert laws()["finite_time_drift"](at_one_curvature(**changes)) == []


def test_a_seed_whose_streams_met_no_noise_has_no_drift(at_one_curvature):
    """Noise of 0 or less is none to predict from: only the other seed is predicted."""
    window = {"steps": (10,), "num_steps": 10}
    for nothing in (0.0, -1.0):
        errors = {0: Uncertain(nothing, 0.1, 31), 1: Uncertain(MASS, 0.1, 31)}
        values = SeedValues("s3", "fork", {0: nothing, 1: MASS}, errors)
        indexed = {("gradient_noise_trace", 10): values}
        for found in laws()["finite_time_drift"](at_one_curvature(indexed=indexed, **window)):
            assert found.by_seed.keys() == {1}


@pytest.mark.parametrize("name", ["finite_time", "shuffled"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_nothing_is_predicted_where_the_variance_explodes(at_one_curvature, name, momentum):
    """At λ = -200 it grows (1 - ηλ/(1-μ))^{2T} or so: 2.6 after ten steps, beyond any number after a million."""
    sampler = {"finite_time": "replacement", "shuffled": "shuffle"}[name]

    def predict(num_steps):
        window = {"steps": (num_steps,), "num_steps": num_steps, "sampler": sampler}
        return laws()[name](at_one_curvature(-200.0, momentum=momentum, **window))

    assert all(each.by_seed.keys() == {0, 1} and not each.faults for each in predict(10))
    for found in predict(10**6):
        (fault,) = found.faults
        assert found.by_seed == {}
        assert fault.startswith("the variance along λ = -200 grows 10^")
        assert fault.endswith(
            "-fold in 1000000 steps, and no loss is quadratic so far: nothing is predicted for 2 of 2 seeds"
        )
    if momentum == 0:
        orders = 2 * 10**6 * math.log10(1.2)
        assert f"10^{orders:.0f}-fold" in fault


def test_what_is_predicted_must_be_above_zero(at_one_curvature):
    """A saddle lets the loss fall, whole batches make no noise: told for the target, in words."""
    window = {"steps": (10,), "num_steps": 10}
    falling, slope = finite_time.predict(at_one_curvature(-CURVATURE, **window))
    least = min(each.value for each in falling.by_seed.values())
    ending = "the law's noise is none, or the weights are at no minimum"
    assert value_faults(falling) == [
        f"the predicted excess loss is not above 0 in 2 of 2 seeds, here {least:.3g}: {ending}"
    ]
    assert value_faults(slope) == []
    (_, still) = laws()["shuffled"](at_one_curvature(sampler="shuffle", num_train=M))
    assert value_faults(still) == [
        f"the predicted E‖∇L‖² is not above 0 in 2 of 2 seeds, here 0: {ending}"
    ]
