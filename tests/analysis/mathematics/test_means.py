from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.mathematics.means import mean_of_units, ratio_of_means


def test_the_standard_error_has_one_degree_of_freedom_less():
    """The error of a mean is sd(n - 1)/√n, against numbers computed by hand."""
    found = mean_of_units([1.0, 2.0, 6.0])
    assert (found.value, found.degrees) == (3.0, 2)
    assert found.stderr == pytest.approx(math.sqrt((4 + 1 + 9) / 2 / 3), rel=1e-15)


def test_one_seed_has_no_standard_error():
    """One value tells nothing about the spread."""
    found = mean_of_units([4.0])
    assert (found.value, found.degrees) == (4.0, 0)
    assert math.isnan(found.stderr)


def test_values_that_are_not_finite_are_not_counted():
    """NaN and infinity are neither averaged nor counted; nothing at all gives NaN."""
    assert mean_of_units([1.0, math.nan, 3.0, math.inf]).degrees == 1
    assert mean_of_units([1.0, math.nan, 3.0, math.inf]).value == 2.0
    assert math.isnan(mean_of_units([]).value)


def test_a_known_factor_scales_mean_and_error():
    """The error of c·x is |c| times that of x."""
    found = mean_of_units([1.0, 2.0, 6.0]).scaled(-2.0)
    assert found.value == -6.0
    assert found.stderr == pytest.approx(2 * mean_of_units([1.0, 2.0, 6.0]).stderr)


def test_the_ratio_error_is_the_delta_method_with_covariance():
    """Against the propagation formula written out with sample (co)variances."""
    generator = np.random.default_rng(0)
    a = generator.normal(10, 1, 7)
    b = 0.5 * a + generator.normal(3, 0.2, 7)
    found = ratio_of_means(a, b)
    covariance = np.cov(a, b, ddof=1)
    means = np.array([a.mean(), b.mean()])
    relative = (
        covariance[0, 0] / means[0] ** 2
        + covariance[1, 1] / means[1] ** 2
        - 2 * covariance[0, 1] / (means[0] * means[1])
    )
    assert found.value == pytest.approx(means[0] / means[1], rel=1e-14)
    assert found.stderr == pytest.approx(found.value * math.sqrt(relative / 7), rel=1e-12)


def test_what_both_traces_share_cancels_in_the_ratio():
    """Proportional traces have an exactly known ratio, however much they vary over seeds."""
    found = ratio_of_means([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.value, found.stderr) == (2.0, 0.0)


def test_the_ratio_error_covers_the_true_ratio():
    """Over 2,000 draws of 20 pairs, ± 1.96 stderr covers the truth in 95 % (± 2 %) of them."""
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        a = generator.normal(10, 1, 20)
        b = 0.3 * a + generator.normal(2, 0.3, 20)
        found = ratio_of_means(a, b)
        hits += abs(found.value - 10 / 5) < 1.96 * found.stderr
    # a t quantile of 19 degrees of freedom would give 95 %; the normal one gives 93.5 %
    assert hits / 2000 == pytest.approx(0.935, abs=0.02)


def test_only_seeds_with_both_values_count_in_a_ratio():
    """A seed whose Hessian was not measured does not shift the ratio."""
    found = ratio_of_means([1.0, 100.0, 3.0], [1.0, math.nan, 1.0])
    assert (found.value, found.degrees) == (2.0, 1)
    assert math.isnan(ratio_of_means([], []).value)
    assert math.isnan(ratio_of_means([1.0, 1.0], [1.0, -1.0]).value)
