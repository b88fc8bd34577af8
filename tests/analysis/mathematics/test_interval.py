from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.mathematics.interval import Interval, side_by_side
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain


def test_the_mean_of_units_has_students_interval():
    """Values 0, 1, 2: mean 1, error 1/√3, t of 2 degrees of freedom 4.302653."""
    found = mean_of_units([0.0, 1.0, 2.0]).interval()
    assert found.value == 1
    assert found.low == pytest.approx(1 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert found.high == pytest.approx(1 + 4.302653 / math.sqrt(3), rel=1e-6)


def test_one_unit_has_no_interval():
    """Nothing tells how much another one would differ."""
    assert mean_of_units([0.3]).interval() == Interval(0.3)
    assert math.isnan(mean_of_units([]).interval().value)
    assert Uncertain(1.0, math.nan, 5).interval() == Interval(1.0)
    assert Uncertain(1.0, 0.1, 0).interval() == Interval(1.0)


def test_the_interval_covers_as_often_as_it_says():
    """95 ± 1 % of 10,000 means of five normal values; the error of the share is 0.2 %."""
    draw = np.random.default_rng(1).standard_normal((10_000, 5))
    half = stats.t.ppf(0.975, 4) * draw.std(axis=1, ddof=1) / math.sqrt(5)
    assert np.mean(np.abs(draw.mean(axis=1)) <= half) == pytest.approx(0.95, abs=0.01)
    one = mean_of_units(draw[0].tolist()).interval()
    assert one.high == pytest.approx(draw[0].mean() + half[0])


def test_dependent_values_are_averaged_bound_by_bound():
    """Without an interval of each there is none of the mean."""
    found = side_by_side([Interval(1.0, 0.0, 2.0), Interval(3.0, 2.0, 5.0)])
    assert found == Interval(2.0, 1.0, 3.5)
    assert side_by_side([Interval(1.0, 0.0, 2.0), Interval(3.0)]) == Interval(2.0)


def test_the_verdict_is_on_the_interval():
    """The margin is ln 1.1 = 0.0953."""
    assert Interval(0.0, -0.09, 0.09).verdict == "holds"
    assert Interval(0.2, 0.1, 0.3).verdict == "fails"
    assert Interval(0.0, -0.09, 0.1).verdict == "undecided"
    assert Interval(0.0).verdict is None
