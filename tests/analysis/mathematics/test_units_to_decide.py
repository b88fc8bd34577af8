from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.mathematics.interval import Interval
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.units_to_decide import units_to_decide

EDGE = math.log1p(0.1)


def about(value, half):
    """Give an interval."""
    return Interval(value, value - half, value + half)


@pytest.mark.parametrize(
    ("value", "half", "wanted"),
    [
        (0.0, 2 * EDGE, 4 * 10),  # would hold
        (2 * EDGE, 3 * EDGE, 9 * 10),  # would fail, from above
        (-3 * EDGE, 3 * EDGE, 23),  # and from below: 9/4 times as many, rounded up
        (0.0, 0.05, 10),  # holds
        (0.0, 200 * EDGE, math.inf),
        (EDGE, 0.1, math.inf),  # on the edge
    ],
)
def test_an_error_of_known_size_falls_with_the_root_of_the_units(value, half, wanted):
    """With so many of ten units, and with no fewer, the interval about the same value crosses no edge."""
    interval = about(value, half - 1e-12)
    found = units_to_decide(interval, 10, 1000, is_spread_of_units=False)
    assert found == wanted
    if 10 < wanted < math.inf:
        assert about(value, half * math.sqrt(10 / wanted) - 1e-9).verdict != "undecided"
        assert about(value, half * math.sqrt(10 / (wanted - 1))).verdict == "undecided"


@pytest.mark.parametrize("logs", [(0.95, 1.05), (0.9, 1.0, 1.1), (1.0, 1.2, 1.5, 1.1)])
def test_a_spread_of_units_falls_faster(logs):
    """By units of the same spread themselves: so many decide, one fewer does not."""
    values = np.log(logs)
    found = units_to_decide(
        mean_of_units(values.tolist()).interval(), len(values), 1000, is_spread_of_units=True
    )
    mean, spread = float(values.mean()), float(values.std(ddof=1))

    def verdict(number):
        units = np.linspace(-1.0, 1.0, number)
        return (
            mean_of_units((mean + spread * units / units.std(ddof=1)).tolist()).interval().verdict
        )

    assert len(values) < found < math.inf
    assert (verdict(found) == "undecided", verdict(found - 1)) == (False, "undecided")


def test_without_an_interval_nothing_is_known():
    """NaN; and of one unit there is no spread."""
    assert math.isnan(units_to_decide(Interval(0.0), 3, 1000, is_spread_of_units=True))
    assert units_to_decide(about(0.0, 2 * EDGE - 1e-9), 1, 1000, is_spread_of_units=True) == 4
