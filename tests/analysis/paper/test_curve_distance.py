from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.paper.curve_distance import (
    NO_EPOCHS,
    NO_SPREAD,
    TOO_FEW_SEEDS,
    CurveDistance,
    curve_distance,
)


def _curves(draw, num_seeds, shift, correlation=0.0, num_epochs=40):
    """Make two cells whose true curves are `shift` standard deviations apart at every epoch.

    Deviations of a seed are an autoregression over epochs, or one number where correlation is 1.
    """
    fresh = draw.standard_normal((2 * num_seeds, num_epochs))
    noise = np.repeat(fresh[:, :1], num_epochs, axis=1)
    if correlation < 1:
        for epoch in range(1, num_epochs):
            noise[:, epoch] = correlation * noise[:, epoch - 1]
            noise[:, epoch] += math.sqrt(1 - correlation**2) * fresh[:, epoch]
    noise[:num_seeds] += shift
    return noise


def test_distance_and_spread_by_hand():
    """Means (1, 0) and (4, 4): D² = 12.5; variances 2 and 0 in each cell: s² = 1, c = 1; √(D² - c)."""
    curves = np.array([[0.0, 0.0], [2.0, 0.0], [3.0, 4.0], [5.0, 4.0]])
    found = curve_distance(curves, 2)
    assert found.f_statistic == pytest.approx(12.5)
    assert found.value == pytest.approx(math.sqrt(11.5))
    assert found.dimension == pytest.approx(1.0)
    assert (found.num_splits, found.p_value) == (3, pytest.approx(1 / 3))


def test_seeds_shifted_as_a_whole_have_cohens_interval():
    """With one direction F = t², and the bounds are those of the noncentral t (Steiger 2004)."""
    draw = np.random.default_rng(2)
    first, second = draw.standard_normal(5) + 3, draw.standard_normal(5)
    found = curve_distance(np.repeat(np.r_[first, second][:, None], 7, axis=1), 5)
    t = stats.ttest_ind(first, second).statistic
    assert found.dimension == pytest.approx(1.0)
    assert found.f_statistic == pytest.approx(t**2)
    for bound, chance in zip(found.interval(), (0.975, 0.025), strict=True):
        # F does not see the sign: P(|t'| ≤ t)
        known = np.diff(stats.nct.cdf([-t, t], 8, bound / math.sqrt(2 / 5)))
        assert known[0] == pytest.approx(chance, abs=1e-6)


def test_independent_epochs_have_as_many_directions_as_seeds_can_show():
    """ν = (tr S)²/tr S² is 1/(1/T + (1 + 1/T)/f) on average: below f = 8, so intervals are too wide."""
    draw = np.random.default_rng(3)
    found = [curve_distance(_curves(draw, 5, 0.0), 5).dimension for _ in range(200)]
    assert np.mean(found) == pytest.approx(1 / (1 / 40 + (1 + 1 / 40) / 8), rel=0.03)
    assert max(found) <= 8


def test_p_values_are_those_of_scipy():
    """Every split of 3 + 4 seeds: the share with a distance as large, counted by scipy's own test."""
    curves = np.random.default_rng(4).standard_normal((7, 6))
    curves[:3] += 0.8
    order = np.arange(7)

    def squared(first, second):
        means = (curves[np.asarray(rows, dtype=int)].mean(axis=0) for rows in (first, second))
        return float(np.sum((next(means) - next(means)) ** 2))

    known = stats.permutation_test(
        (order[:3], order[3:]), squared, n_resamples=np.inf, alternative="greater"
    )
    found = curve_distance(curves, 3)
    assert found.num_splits == math.comb(7, 3)
    assert found.p_value == pytest.approx(known.pvalue)


@pytest.mark.parametrize(("num_seeds", "num_splits"), [(2, 3), (3, 10), (4, 35), (5, 126)])
def test_few_seeds_allow_no_small_p(num_seeds, num_splits):
    """However far apart, p is 1/3, 1/10, 1/35, 1/126: only from four seeds on below 5 %."""
    draw = np.random.default_rng(5)
    found = curve_distance(_curves(draw, num_seeds, 1e3), num_seeds)
    assert (found.num_splits, found.p_value) == (num_splits, pytest.approx(1 / num_splits))


def test_many_seeds_are_split_at_random_and_always_the_same():
    """Of 92,378 splits 10,000 are drawn, the one found among them and now and then drawn once more."""
    curves = _curves(np.random.default_rng(6), 10, 4.0)
    found = curve_distance(curves, 10)
    assert found.num_splits == 10_000
    assert 1e-4 <= found.p_value <= 5e-4
    near = _curves(np.random.default_rng(6), 10, 0.1)
    assert curve_distance(near, 10) == curve_distance(near, 10)
    assert curve_distance(near, 10).p_value > 1e-3


def test_p_values_are_small_as_rarely_as_they_say():
    """Of 400 pairs of equal cells 5 ± 1.1 % have p ≤ 5 % (6 of 126)."""
    draw = np.random.default_rng(7)
    found = [curve_distance(_curves(draw, 5, 0.0, 0.8), 5).p_value for _ in range(400)]
    assert np.mean(np.array(found) <= 6 / 126 + 1e-9) == pytest.approx(6 / 126, abs=3 * 0.011)


@pytest.mark.parametrize("correlation", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_intervals_hold_the_true_distance(correlation, shift):
    """Of 200 intervals each end is missed in 2.5 % at most, up to 3 standard errors of 1.1 %."""
    draw = np.random.default_rng(8)
    ends = np.array(
        [curve_distance(_curves(draw, 5, shift, correlation), 5).interval() for _ in range(200)]
    )
    assert np.mean(ends[:, 0] > shift) <= 0.025 + 3 * 0.011
    assert np.mean(ends[:, 1] < shift) <= 0.025 + 3 * 0.011


def test_very_far_curves_keep_the_relative_width_of_the_spread():
    """Beyond F = 10⁴ the bounds grow with √F: they meet there, and nothing overflows."""
    below, at = (CurveDistance(5, 5, f, 4.0, 1 / 126, 126) for f in (9999.9, 10000.1))
    assert below.interval() == pytest.approx(at.interval(), rel=1e-4)
    far = CurveDistance(5, 5, 1e20, 4.0, 1 / 126, 126)
    low, high = (end / far.value for end in far.interval())
    # s has 4·8 degrees of freedom; the scatter of D at the seam adds a per cent of it.
    assert (low, high) == pytest.approx(np.sqrt(stats.chi2.ppf([0.025, 0.975], 32) / 32), rel=0.02)


def test_what_cannot_be_compared_is_said_in_a_sentence():
    """One seed, no epoch in common, no spread."""
    curves = np.random.default_rng(9).standard_normal((4, 3))
    assert curve_distance(curves[:3], 1) == TOO_FEW_SEEDS
    assert curve_distance(curves, 4) == TOO_FEW_SEEDS
    assert curve_distance(curves[:, :0], 2) == NO_EPOCHS
    level = np.repeat([[0.1, 0.7], [0.3, 0.9]], 2, axis=0)
    assert curve_distance(level, 2) == NO_SPREAD
