"""Medians, quartiles and ratios against closed forms."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rates import Rates, fastest, rates_of, ratios


def test_rounds_are_summed_up_by_median_and_quartiles():
    """Of 1 … 5: 2, 3 and 4; of a single round all are that round."""
    assert rates_of([5.0, 1.0, 4.0, 2.0, 3.0]) == Rates(3.0, 2.0, 4.0)
    assert rates_of([7.0]) == Rates(7.0, 7.0, 7.0)


def test_a_slow_moment_strikes_both_sides_of_a_ratio():
    """Rates that halve together in a round have the same ratio in it."""
    rounds = {"minima": [100.0, 50.0, 100.0], "torch": [200.0, 100.0, 200.0]}
    assert ratios(rounds, "minima", "torch") == Rates(0.5, 0.5, 0.5)


def test_the_fastest_is_that_of_its_kind():
    """By the median; none where there is no such contender."""
    rounds = {"minima": [9.0], "torch": [1.0, 9.0, 1.0], "torch-compiled": [2.0, 2.0, 2.0]}
    assert fastest(rounds, "torch") == "torch-compiled"
    assert fastest(rounds, "keras") is None
