"""Each test of the panel, with numbers on either side of its limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence.assumptions import EQUILIBRATION, HARMONICITY, STATIONARITY
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import MeasuredExcursion
from analysis.evidence.noise_spectra import CellSpectra, Spectrum
from analysis.evidence.validity import checks, validity
from analysis.laws.reasons import broken
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.cell_states import CellState
from analysis.records.seed_values import SeedValues
from workers.contract.schema import VIEWS
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.contract.student import student_quantile
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec

ETA, M, N = 0.1, 10, 100


def _values(value, stderr=0.0, num_samples=11):
    degrees = math.inf if stderr == 0 else num_samples - 1
    return SeedValues("s", "tail", {0: value}, {0: Uncertain(value, stderr, degrees)})


def _ends(found):
    return (found.interval.low, found.interval.high)


def _nodes(*pairs):
    nodes, weights = np.array(pairs, float).T
    return Spectrum(nodes, weights, np.zeros(len(nodes), int))


@pytest.fixture
def panel():
    """Give the checks of one trial by name, from what was measured."""

    def make(*, inputs=None, noise=None, hessian=None, momentum=0.0, additivity=None, **excursion):
        training = TrainingSpec(epochs=1, momentum=momentum, weight_decay=0.1)
        trial = TrialSpec(
            model=ResNetSpec(depth=8), dataset=Cifar10Spec(), data_digest="d", loss="kld",
            training=training, batch_size=M, learning_rate=0.5, seed=0,
        )  # fmt: skip
        given = {"sampler": "replacement", "bn_mode": "frozen", "learning_rate": ETA}
        spectra = CellSpectra(
            "p", {} if noise is None else {0: noise}, {} if hessian is None else {0: hessian}
        )
        return CellConditions(
            cell=Cell("kld", M, 0.5),
            state=CellState(1, 0, 0, 0, N, ("e",), 0.05),
            trial=trial,
            trial_ids={0: "t0"},
            excursion=MeasuredExcursion("s", "tail", **given | excursion),
            inputs=inputs or {},
            spectra=spectra,
            additivity=additivity,
        )

    return make


def _only(conditions):
    (found,) = checks(conditions, 0)
    return found


@pytest.mark.parametrize(
    ("whole", "halves", "passes"),
    [
        (0.1, (0.1, 0.1), True),
        (0.1, (0.1, -0.1), True),
        (5.0, (0.1, 0.1), False),
        (0.1, (5.0, -5.0), False),
        (2.5, (0.1, -2.5), True),
    ],
)
def test_a_stationary_run_has_no_gap(panel, whole, halves, passes):
    """0 lies in the interval of the run and of both halves, each at 98.3 %; t₁₀ = 2.87. Signs are chance."""
    gap = "fluctuation_dissipation_gap"
    conditions = panel(
        values={gap: _values(whole, 1.0)},
        indexed={(gap, half): _values(value, 1.0) for half, value in enumerate(halves)},
    )
    found = _only(conditions)
    assert (found.test.name, found.passes) == ("stationarity", passes)
    assert _ends(found) == pytest.approx((whole - 2.870, whole + 2.870), abs=1e-3)


def test_a_gap_of_unknown_error_is_undecided(panel):
    """Without an interval nothing can be said."""
    values = {"fluctuation_dissipation_gap": _values(0.0, math.nan)}
    assert _only(panel(values=values)).passes is None


@pytest.mark.parametrize(
    ("ratio", "stderr", "passes"),
    [(1.0, 0.01, True), (1.0, 0.1, None), (1.2, 0.01, False), (1.06, 0.01, None)],
)
def test_the_dissipation_ratio_is_one(panel, ratio, stderr, passes):
    """Inside 1 ± 0.05, wholly outside, or too uncertain to tell."""
    found = _only(panel(values={"fluctuation_dissipation_ratio": _values(ratio, stderr)}))
    assert (found.test.name, found.passes) == ("fluctuation_dissipation_ratio", passes)


@pytest.mark.parametrize(("harmonic", "passes"), [(1.05, True), (1.2, False), (0.8, False)])
def test_the_loss_is_quadratic_where_both_excesses_are_one(panel, harmonic, passes):
    """(E[L]-L*)/½⟨(θ-θ̄)·∇L⟩ by its value: the errors of both come from the same weights."""
    values = {"excess_loss": _values(1.0, 0.5), "harmonic_excess_loss": _values(harmonic, 0.5)}
    found = _only(panel(values=values))
    assert (found.test.name, found.passes, _ends(found)) == ("harmonicity", passes, (None, None))
    assert found.interval.value == pytest.approx(1 / harmonic)


@pytest.mark.parametrize("sampler", ["replacement", "shuffle"])
@pytest.mark.parametrize(
    ("of", "squared", "ratio", "passes"),
    [("tail", 0.25, 2.0, True), ("fork", 0.25, 2.0, True), ("fork", 1.5, 1 / 3, False)],
)
def test_noise_is_held_against_the_gradient(panel, of, squared, ratio, *, passes, sampler):
    """(tr σ²/m)/E‖∇L‖² with tr σ²/m = 0.5; of a fork the gradient with the drift, a tail has none."""
    about_mean, whole = "expected_gradient_norm_squared", "gradient_norm_squared"
    of_fork = {whole: _values(squared), about_mean: _values(100.0)}
    gradients = of_fork if of == "fork" else {about_mean: _values(squared)}
    # What the batches' norms would say of the gradient is no matter.
    norms = {"batch_gradient_norm_squared": _values(0.4)}
    found = _only(
        panel(
            values={"gradient_noise_trace": _values(0.5 * M), **gradients, **norms},
            steps=(8,) if of == "fork" else None,
            sampler=sampler,
        )
    )
    assert found.test.name == "noise_to_gradient_ratio"
    assert (found.interval.value, found.passes) == (pytest.approx(ratio), passes)


@pytest.mark.parametrize(
    ("eigenvalue", "momentum", "value", "passes"),
    [
        (1.0, 0.0, 0.05, (True, True)),
        (10.0, 0.0, 0.5, (False, True)),
        (19.0, 0.0, 0.95, (False, False)),
        (19.0, 0.9, 0.5, (False, True)),
    ],
)
def test_steps_are_small_or_at_least_stable(panel, eigenvalue, momentum, value, passes):
    """ηλ₁/(2(1+μ)) below 0.1 and 0.9."""
    inputs = {"hessian_top_eigenvalue": _values(eigenvalue)}
    small, stable = checks(panel(inputs=inputs, momentum=momentum), 0)
    assert small.interval.value == pytest.approx(value)
    assert (small.test.name, stable.test.name) == ("continuous_step", "discrete_step")
    assert (small.passes, stable.passes) == passes


def test_an_eigenvalue_may_be_off_by_its_residual(panel):
    """λ₁ between 1.9 and 2.3: whether ηλ₁/2 is below 0.1 cannot be told."""
    inputs = {
        "hessian_top_eigenvalue": _values(1.9),
        "hessian_residual_norm": _values(0.4),
    }
    small, stable = checks(panel(inputs=inputs), 0)
    assert _ends(small) == pytest.approx((0.095, 0.115))
    assert (small.passes, stable.passes) == (None, True)


@pytest.mark.parametrize(
    ("num_steps", "momentum", "share"),
    [(5, 0.0, 0.6), (50, 0.0, 0.2), (5, 0.9, 0.2), (50, 0.9, 0.0)],
)
def test_flat_noise_is_not_equilibrated(panel, num_steps, momentum, share):
    """Shares 0.2, 0.4, 0.4 at λ = 0.1, 1, 10; at rest where ηλT/(1-μ) ≥ 1."""
    noise = _nodes((0.1, 1.0), (1.0, 2.0), (10.0, 2.0))
    conditions = panel(noise=noise, num_steps=num_steps, momentum=momentum)
    found = {each.test.name: each for each in checks(conditions, 0)}["unequilibrated_share"]
    assert (found.interval.value, found.passes) == (pytest.approx(share), share < 0.05)


def test_shuffling_matters_for_flat_noise(panel):
    """K = 10: the share where λ < 3/(ηK) = 3 is 0.6; independent batches have no such share."""
    noise = _nodes((0.1, 1.0), (1.0, 2.0), (10.0, 2.0))
    names = {
        sampler: {each.test.name: each for each in checks(panel(noise=noise, sampler=sampler), 0)}
        for sampler in ("shuffle", "replacement")
    }
    found = names["shuffle"]["shuffled_share"]
    assert (found.interval.value, found.passes) == (pytest.approx(0.6), False)
    assert "shuffled_share" not in names["replacement"]


def test_a_saddle_has_mass_below_zero(panel):
    """Shares of both spectra where λ < 0; what rounding makes of 0 is not negative."""
    conditions = panel(
        noise=_nodes((-1.0, 1.0), (-1e-7, 1.0), (5.0, 2.0)),
        hessian=_nodes((-1e-6, 5.0), (5.0, 5.0)),
    )
    noise, hessian = checks(conditions, 0)
    assert (noise.test.name, noise.interval.value, noise.passes) == (
        "negative_noise_mass",
        0.25,
        False,
    )
    assert (hessian.test.name, hessian.interval.value) == ("negative_curvature_mass", 0.0)
    assert hessian.passes is True


@pytest.mark.parametrize(
    ("hessian", "stderr", "passes"), [(10.2, 0.1, True), (20.0, 0.1, False), (11.0, 1.0, None)]
)
def test_noise_is_curvature_where_the_traces_are_one(panel, hessian, stderr, passes):
    """An exact tr σ² = 10 over tr H with its error."""
    inputs = {"gradient_noise_trace": _values(10.0), "hessian_trace": _values(hessian, stderr)}
    found = _only(panel(inputs=inputs))
    assert (found.test.name, found.passes) == ("noise_over_curvature", passes)
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(student_quantile(10) * stderr * 10 / hessian**2)


@pytest.mark.parametrize(("there", "passes"), [(10.4, True), (5.7, False), (11.0, None)])
def test_noise_stays_what_it_is_along_the_way(panel, there, passes):
    """An estimate of tr σ² where SGD went, with an error of 0.2, over an exact 10 at the kept weights."""
    inputs = {"gradient_noise_trace": _values(10.0)}
    found = _only(panel(inputs=inputs, values={"gradient_noise_trace": _values(there, 0.2)}))
    assert (found.test.name, found.passes) == ("noise_along_the_way", passes)
    assert found.interval.value == pytest.approx(there / 10)


def test_batch_noise_is_additive_where_it_does_not_depend_on_the_batch_size(panel):
    """The largest multiple against m."""
    by_size = {10: _values(4.0, 0.01), 20: _values(3.0, 0.01), 40: _values(2.0, 0.01)}
    found = _only(panel(additivity=by_size))
    assert (found.test.name, found.passes) == ("batch_noise_additivity", False)
    assert found.interval.value == pytest.approx(0.5)


def test_nothing_measured_is_nothing_tested(panel):
    """A test without its numbers has no row."""
    assert checks(panel(), 0) == []


def test_a_number_that_is_none_is_no_test(panel):
    """A harmonic excess of 0 has no ratio, nor has noise to a gradient that is none."""
    values = {
        "excess_loss": _values(1.0),
        "harmonic_excess_loss": _values(0.0),
        "gradient_noise_trace": _values(10.0),
        "expected_gradient_norm_squared": _values(0.0),
    }
    assert checks(panel(values=values), 0) == []


def test_the_view_has_a_row_for_every_test_of_the_longest_window(panel):
    """Its columns say which trial, excursion and test, and whether it passed."""
    values = {"excess_loss": _values(1.0), "harmonic_excess_loss": _values(2.0)}
    long = panel(values=values, steps=(4, 8), num_steps=8)
    short = panel(values=values, steps=(2, 4), num_steps=4, is_longest=False)
    table = validity("toy", [short, long])
    assert table.schema.equals(VIEWS["validity"])
    (row,) = table.to_pylist()
    assert row == {
        "sweep": "toy", "trial_id": "t0", "loss": "kld", "batch_size": M, "learning_rate": 0.5,
        "seed": 0, "learning_rate_used": ETA, "bn_mode": "frozen", "sampler": "replacement",
        "statistic_id": "s", "test": "harmonicity", "value": 0.5, "low": None, "high": None,
        "passes": False, "meaning": HARMONICITY.meaning, "quantity": None, "layer": None,
            "split": None, "detail": None,
    }  # fmt: skip


def test_a_law_names_what_it_assumes_and_the_numbers_contradict(panel):
    """What a law does not assume is no fault of it."""
    values = {"excess_loss": _values(1.0), "harmonic_excess_loss": _values(2.0)}
    conditions = panel(values=values)
    assert broken(conditions, [STATIONARITY, EQUILIBRATION]) == []
    assert broken(conditions, [STATIONARITY, HARMONICITY]) == [
        f"not so in 1 of 1 seeds: {HARMONICITY.meaning}, here 0.5"
    ]
    untested = replace(conditions, trial_ids={**conditions.trial_ids, 99: "t99"})
    assert broken(untested, [HARMONICITY]) == broken(conditions, [HARMONICITY])


def test_the_worst_number_is_named():
    """Of values on both sides the one farthest outside the limits."""
    assert HARMONICITY.farthest([0.5, 1.2, 1.8]) == 1.8
    assert EQUILIBRATION.farthest([0.01, 0.3, 0.2]) == 0.3
