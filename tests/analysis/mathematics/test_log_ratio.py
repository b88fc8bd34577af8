from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis.mathematics.log_ratio import log_ratio
from analysis.mathematics.uncertain import Uncertain


def _exactly(*values):
    return {seed: Uncertain(value) for seed, value in enumerate(values)}


def test_seeds_are_paired():
    """What measured and predicted share cancels: a ratio of 2 in every seed is 2 without an error."""
    found = log_ratio(_exactly(2.0, 20.0, 8.0), _exactly(1.0, 10.0, 4.0))
    assert (found.value, found.low, found.high) == pytest.approx([math.log(2)] * 3)


def test_the_interval_is_students_over_seeds():
    """Against 1 in every seed: the relative spread of 0.9, 1.0, 1.1 is 0.1, t₂ = 4.303."""
    found = log_ratio(_exactly(0.9, 1.0, 1.1), _exactly(1.0, 1.0, 1.0))
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((-half, half), abs=1e-4)


def test_it_is_never_narrower_than_the_errors_within_seeds():
    """Two seeds that agree by chance keep the error of their own estimates: 10 %/√2."""
    measured = {0: Uncertain(1.0, 0.1, math.inf), 1: Uncertain(1.0, 0.1, math.inf)}
    found = log_ratio(measured, _exactly(1.0, 1.0))
    assert found.high == pytest.approx(1.95996 * 0.1 / math.sqrt(2), abs=1e-5)


def test_one_seed_has_the_errors_of_both_estimates():
    """√(0.03² + 0.04²) = 5 %; the degrees of freedom are Welch's."""
    measured, predicted = {3: Uncertain(4.0, 0.12, 10)}, {3: Uncertain(2.0, 0.08, 3)}
    found = log_ratio(measured, predicted)
    degrees = 0.05**4 / (0.03**4 / 10 + 0.04**4 / 3)
    half = scipy.stats.t.ppf(0.975, degrees) * 0.05
    assert found.value == pytest.approx(math.log(2))
    assert (found.low, found.high) == pytest.approx((math.log(2) - half, math.log(2) + half))


def test_one_seed_of_unknown_error_has_no_interval():
    """A ratio alone."""
    found = log_ratio({0: Uncertain(2.0, math.nan, 0)}, _exactly(1.0))
    assert (found.value, found.low, found.high) == (math.log(2), None, None)


def test_seeds_without_a_partner_do_not_count():
    """Seed 1 was not predicted."""
    found = log_ratio(_exactly(2.0, 100.0), {0: Uncertain(1.0)})
    assert found.value == pytest.approx(math.log(2))


def test_a_noisy_seed_may_be_negative():
    """A measured excess below 0 has no logarithm; the sum over seeds has one, and an interval."""
    found = log_ratio(_exactly(-0.1, 2.1, 1.0), _exactly(1.0, 1.0, 1.0))
    assert found.value == pytest.approx(0)
    assert found.low < -1


@pytest.mark.parametrize("measured", [(), (0.0, 0.0), (-1.0, 0.5)])
def test_there_is_none_without_a_positive_ratio(measured):
    """Nothing measured, or nothing above 0."""
    assert log_ratio(_exactly(*measured), _exactly(1.0, 1.0)) is None


def test_two_negative_sides_have_no_ratio():
    """As where SGD runs down a saddle, and a law says so: there is nothing to be ± 10 % of."""
    assert log_ratio(_exactly(-1.02, -1.0), _exactly(-1.0, -0.99)) is None
    assert log_ratio(_exactly(1.02, 1.0), _exactly(-1.0, -0.99)) is None


def test_it_covers_the_truth_as_often_as_it_says():
    """Five seeds of different size, 20 % noise of their own: 95 % of intervals hold ln 1.5."""
    generator = np.random.default_rng(1)
    sizes = np.array([1.0, 1.3, 0.8, 1.1, 0.9])
    num_covered, num_sweeps = 0, 2000
    for _ in range(num_sweeps):
        measured = 1.5 * sizes * (1 + 0.2 * generator.standard_normal(5))
        within = {seed: Uncertain(value, 0.2 * value, 63) for seed, value in enumerate(measured)}
        found = log_ratio(within, _exactly(*sizes))
        num_covered += found.low <= math.log(1.5) <= found.high
    # Binomial error 0.5 %; above 95 % because the wider of two intervals counts.
    assert 0.94 < num_covered / num_sweeps < 0.99
