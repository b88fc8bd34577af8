"""Every law against the exact second moments: exact where it should be, else of the order it says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from exact_sgd import constant_noise, regression

GENERATOR_SEED = 11
WINDOW = (5, 7, 8)


def _constant(learning_rate, *, num_train=6, momentum=0.0, batch_size=2, is_shuffled=False):
    """Make SGD whose noise is the same everywhere and does not commute with H, λ = 0.3 … 2.5."""
    generator = np.random.default_rng(GENERATOR_SEED)
    basis = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    hessian = basis * [0.3, 1.0, 2.5] @ basis.T
    return constant_noise(
        hessian,
        generator.normal(size=(num_train, 3)) * [0.5, 1.0, 2.0],
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch_size,
        is_shuffled=is_shuffled,
    )


def _targets(exact, moments):
    """Give the mean excess loss and E‖∇L - ∇L(E θ)‖² over some moments."""
    return tuple(
        float(np.mean([value(each) for each in moments]))
        for value in (exact.excess_loss, exact.spread_of_gradient)
    )


def _at_rest(exact):
    return _targets(exact, exact.stationary()[0])


def _in_window(exact, start=0.0):
    moments, _ = exact.run(exact.minimum + start, WINDOW[-1])
    return _targets(exact, moments[list(WINDOW)])


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("law", ["finite_learning_rate", "finite_time"])
def test_the_stationary_laws_of_finite_steps_are_exact(predict, law, momentum):
    """At ηλ₁ = 1.25, noise that stays: to rounding, with momentum too."""
    exact = _constant(0.5, momentum=momentum)
    assert predict(law, exact) == pytest.approx(_at_rest(exact), rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_finite_time_is_exact(predict, momentum):
    """In a window of steps that have not come to rest, from far off: a drift is no matter."""
    exact = _constant(0.3, momentum=momentum)
    found = predict("finite_time", exact, steps=WINDOW, num_steps=WINDOW[-1])
    assert found == pytest.approx(_in_window(exact, start=7.0), rel=1e-9)
    assert found != pytest.approx(_at_rest(exact), rel=0.05)


@pytest.mark.parametrize(("num_train", "batch_size"), [(6, 2), (7, 3), (5, 1)])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_shuffled_is_exact(predict, momentum, num_train, batch_size):
    """Of a window of a fork, and of a tail over all phases of an epoch, also where N/m is not whole."""
    size = {"num_train": num_train, "batch_size": batch_size}
    exact = _constant(0.3, momentum=momentum, is_shuffled=True, **size)
    found = predict("shuffled", exact, steps=WINDOW, num_steps=WINDOW[-1])
    assert found == pytest.approx(_in_window(exact, start=7.0), rel=1e-9)
    assert predict("shuffled", exact) == pytest.approx(_at_rest(exact), rel=1e-9)


def test_wangs_laws_are_of_first_order_in_the_rate(predict):
    """Exact over predicted is 1 + ½η tr(σ²Hᵏ⁺¹)/tr(σ²Hᵏ) + O(η²), k = 0 for the loss and 1 for the norm."""
    misses = []
    for rate in (0.02, 0.01):
        exact = _constant(rate)
        noise = np.cov(exact.offsets.T, bias=True)
        powers = [
            np.trace(noise @ np.linalg.matrix_power(exact.hessian, order)) for order in range(3)
        ]
        loss, gradient = _at_rest(exact)
        ratios = (loss / predict("wang_4_45", exact)[0], gradient / predict("wang_4_46", exact)[1])
        first = [1 + rate / 2 * powers[order + 1] / powers[order] for order in range(2)]
        misses.append(np.subtract(ratios, first))
    assert (np.abs(misses[0]) < 1e-3).all()
    # What is left is of second order: half the rate leaves a quarter.
    np.testing.assert_allclose(misses[0] / misses[1], 4, rtol=0.05)


def test_jastrzebskis_law_is_of_first_order_where_the_noise_is_the_hessian(predict):
    """With σ² = H exact over predicted is 1 + ½η tr H²/tr H + O(η²); with σ² = 2H it is twice that."""
    generator = np.random.default_rng(GENERATOR_SEED)
    white = np.linalg.qr(np.hstack([np.ones((8, 1)), generator.normal(size=(8, 3))]))[0][:, 1:]
    curvatures = np.array([0.3, 1.0, 2.5])
    for factor, rate in itertools.product((1.0, 2.0), (0.02, 0.01)):
        gradients = np.sqrt(8 * factor * curvatures) * white
        steps = {"learning_rate": rate, "momentum": 0.0, "batch_size": 2}
        exact = constant_noise(np.diag(curvatures), gradients, **steps)
        ratio = _at_rest(exact)[0] / predict("jastrzebski_9", exact)[0] / factor
        first = 1 + rate / 2 * np.square(curvatures).sum() / curvatures.sum()
        assert ratio == pytest.approx(first, abs=2 * rate**2)


def _gaussian_moments(**steps):
    """Make regression on 72 examples with the moments of Gaussian features to fourth order.

    Points 0 (4 of 6 times) and ±√3 have E x² = 1 and E x⁴ = 3; labels lie 0.8 beside their mean.
    """
    points = np.sqrt(3) * np.array([-1.0, 0, 0, 0, 0, 1])
    grid = np.array(list(itertools.product(points, points, [-0.8, 0.8])))
    features = grid[:, :2] * np.sqrt([1.0, 0.4])
    targets = features @ [1.0, -2.0] + 0.3 + grid[:, 2]
    return regression(features, targets, **steps)


@pytest.mark.parametrize(("momentum", "batch_size"), [(0.0, 2), (0.6, 1), (0.9, 4)])
def test_the_law_of_regression_is_exact(predict, momentum, batch_size):
    """Noise that grows with the excursion, with momentum: to rounding, where others miss by 5 % and more."""
    from workers.datasets.synthetic import SyntheticSpec
    from workers.models.mlp import MLPSpec

    rate = 0.2 * (1 - momentum)
    exact = _gaussian_moments(learning_rate=rate, momentum=momentum, batch_size=batch_size)
    data = SyntheticSpec(task="linear", num_features=2, feature_decay=0.4, label_noise=0.8)
    wanted = _at_rest(exact)
    found = predict("state_dependent", exact, model=MLPSpec(), dataset=data)
    assert found == pytest.approx(wanted, rel=1e-7)
    assert predict("finite_learning_rate", exact) != pytest.approx(wanted, rel=0.05)


def _met(exact, moments, ends):
    """Give the exact tr σ² that streams meet between the ends of windows, as a fork would say it."""
    from analysis.mathematics.uncertain import Uncertain
    from analysis.records.seed_values import SeedValues

    found = {}
    for first, end in zip([0, *ends], ends, strict=False):
        value = float(np.mean([exact.noise(each) for each in moments[first:end]]))
        values = SeedValues("s", "fork", {0: value}, {0: Uncertain(value)})
        found["gradient_noise_trace", end] = values
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_the_noise_met_makes_up_for_its_growth(predict, momentum):
    """One feature, so that noise has no shape to change: what is missed falls with the windows' lengths.

    From far off the noise at the minimum says less than half; its mean over all steps leaves 0.6 %, with
    momentum 7 %, and its means over each step nothing but rounding.
    """
    generator = np.random.default_rng(GENERATOR_SEED)
    features, targets = generator.normal(size=(2, 8))
    exact = regression(
        features[:, None], targets, learning_rate=0.1, momentum=momentum, batch_size=2
    )
    curvatures, offsets = exact.curvatures[:, :1, :1], exact.offsets[:, :1]
    exact = type(exact)(curvatures, offsets, 0.1, momentum, 2)
    moments, _ = exact.run(exact.minimum + 2.0, WINDOW[-1])
    wanted = _targets(exact, moments[list(WINDOW)])
    window = {"steps": WINDOW, "num_steps": WINDOW[-1]}
    plain = predict("finite_time", exact, **window)
    assert plain[0] < wanted[0] / 2
    misses = []
    for ends in ([8], [2, 4, 8], list(range(1, 9))):
        indexed = _met(exact, moments, ends)
        found = predict("finite_time_drift", exact, indexed=indexed, **window)
        misses.append(np.abs(np.log(np.divide(found, wanted))).max())
    assert misses[0] > misses[1] > misses[2]
    assert misses[2] < 1e-9
    assert misses[0] < 0.1
