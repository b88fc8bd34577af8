from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from analysis.mathematics import trends
from analysis.mathematics.trends import chance_of_rise, rank_correlation, verdict_on_rises
from analysis.mathematics.uncertain import Uncertain


def test_a_rise_is_held_against_both_errors():
    """Welch's test from the seeds themselves, one-sided, agrees with scipy."""
    draw = np.random.default_rng(3)
    first, second = draw.standard_normal(5), 0.8 + 2 * draw.standard_normal(4)
    estimates = [
        Uncertain(x.mean(), x.std(ddof=1) / math.sqrt(len(x)), len(x) - 1) for x in (first, second)
    ]
    known = stats.ttest_ind(second, first, equal_var=False, alternative="greater").pvalue
    assert chance_of_rise(*estimates) == pytest.approx(known)


def test_exact_values_are_compared_as_they_are():
    """Errors of 0 decide by the sign; an unknown error decides nothing."""
    one, two, bare = Uncertain(1.0, 0.0, 4), Uncertain(2.0, 0.0, 4), Uncertain(3.0, math.nan, 0)
    assert (chance_of_rise(one, two), chance_of_rise(two, one)) == (0.0, 1.0)
    assert math.isnan(chance_of_rise(one, bare))
    assert verdict_on_rises([one, two], num_compared=1) == "holds"
    assert verdict_on_rises([two, one], num_compared=1) == "fails"
    assert verdict_on_rises([one, bare], num_compared=1) == "undecided"
    assert verdict_on_rises([one], num_compared=1) == "undecided"


def test_every_step_must_rise_and_one_fall_is_enough():
    """0 → 10 → 10.1 ± 1: the second step is undecided; 0 → 10 → 5: it fails."""
    sure = [Uncertain(value, 0.1, 4) for value in (0.0, 10.0)]
    assert verdict_on_rises([*sure, Uncertain(10.1, 1.0, 4)], num_compared=2) == "undecided"
    assert verdict_on_rises([*sure, Uncertain(5.0, 0.1, 4)], num_compared=2) == "fails"
    assert verdict_on_rises([*sure, Uncertain(20.0, 0.1, 4)], num_compared=2) == "holds"


def test_a_fall_counts_less_among_many_steps():
    """A fall of p = 0.02 is one in fifty: of six steps that is no surprise."""
    first, second = Uncertain(1.0, 0.1, 999), Uncertain(1 - 2.056 * math.sqrt(0.02), 0.1, 999)
    assert chance_of_rise(second, first) == pytest.approx(0.02, abs=5e-4)
    assert verdict_on_rises([first, second], num_compared=1) == "fails"
    assert verdict_on_rises([first, second], num_compared=6) == "undecided"


def test_rank_correlation_agrees_with_scipy_where_its_approximation_is_good():
    """ρ with ties; p of Student's t at 40 values in the middle of the range, to its sampling error."""
    draw = np.random.default_rng(5)
    places, values = np.repeat(np.arange(10.0), 4), draw.standard_normal(40)
    found, known = rank_correlation(places, values), stats.spearmanr(places, values)
    assert found.rho == pytest.approx(known.statistic)
    assert found.p_value == pytest.approx(known.pvalue, abs=0.01)
    assert rank_correlation(places, values) == found


def test_a_perfect_order_of_a_grid_is_as_rare_as_counting_says():
    """Three groups of three in order: (3!)³ of 9! orders each way, far above what Student's t says."""
    places = np.repeat([1.0, 2.0, 3.0], 3)
    found = rank_correlation(places, places)
    assert found.rho == pytest.approx(1.0)
    assert found.p_value == pytest.approx(2 * 216 / 362_880)
    assert rank_correlation(np.arange(30.0), np.arange(30.0)).p_value == pytest.approx(1e-5)


def test_of_few_values_every_order_is_counted():
    """Four values in order: 2 of 24 orders are as extreme; by hand over all permutations of five."""
    assert rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).p_value == pytest.approx(2 / 24)
    values = [3.0, 1.0, 2.0, 5.0, 4.0]
    found = rank_correlation(range(5), values)
    rhos = [stats.spearmanr(range(5), order).statistic for order in itertools.permutations(values)]
    assert found.rho == pytest.approx(stats.spearmanr(range(5), values).statistic)
    assert found.p_value == pytest.approx(np.mean(np.abs(rhos) >= abs(found.rho) - 1e-12))


def test_without_an_order_there_is_no_correlation():
    """Two values, or a constant."""
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3], [4, 4, 4]) is None
    assert rank_correlation([1, 2, 3], [4, 5, np.nan]) is None


def test_many_values_are_ordered_in_bounded_memory(monkeypatch):
    """10,000 orders of 500 values, some at a time: below 32 MiB, where 100,000 at once were 760 MiB.

    Their p is that of the normal limit with variance 1/(n - 1), within three of its standard errors.
    """
    monkeypatch.setattr(trends, "_MOST_DRAWN", 1_000_000)
    abscissas, values = np.arange(500.0), np.random.default_rng(5).standard_normal(500)
    tracemalloc.start()
    found = rank_correlation(abscissas, values)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 32 * 2**20
    assert found.rho == pytest.approx(stats.spearmanr(abscissas, values).statistic)
    chance = 2 * stats.norm.sf(abs(found.rho) * math.sqrt(499))
    assert found.p_value == pytest.approx(chance, abs=3 * math.sqrt(chance * (1 - chance) / 10_000))
