from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain, combined_error, half_width


def test_an_exact_number_has_an_interval_of_no_width():
    """Error 0 is known; NaN is not."""
    assert Uncertain(3.0).interval() == Interval(3.0, 3.0, 3.0)
    assert Uncertain(3.0, math.nan, 5).interval() == Interval(3.0)
    assert Uncertain(3.0, 1.0, 0).interval() == Interval(3.0)


def test_the_interval_is_students():
    """Quantile 12.706 at one degree of freedom, 1.960 at infinitely many."""
    found = Uncertain(0.0, 1.0, 1).interval()
    assert (found.low, found.high) == pytest.approx((-12.706, 12.706), abs=1e-3)
    assert half_width(2.0, math.inf) == pytest.approx(2 * 1.95996, abs=1e-4)


def test_a_product_and_a_ratio_add_relative_variances():
    """Errors of 3 % and 4 % make 5 %."""
    first, second = Uncertain(100.0, 3.0), Uncertain(10.0, 0.4)
    assert first.times(second).stderr == pytest.approx(0.05 * 1000)
    assert first.over(second).stderr == pytest.approx(0.05 * 10)
    assert (first.times(second).value, first.over(second).value) == (1000, 10)
    assert first.times(Uncertain(0.5)).stderr == 1.5


def test_degrees_of_freedom_are_welchs():
    """Equal variances of 4 degrees each: (v + v)²/(2·v²/4) = 8; an exact term takes no part."""
    assert combined_error([Uncertain(1, 1.0, 4), Uncertain(1, 1.0, 4)]) == pytest.approx(
        (2**0.5, 8)
    )
    assert combined_error([Uncertain(1, 1.0, 4), Uncertain(1)]) == (1.0, pytest.approx(4))
    assert combined_error([Uncertain(1), Uncertain(2)]) == (0.0, math.inf)
    assert math.isnan(combined_error([Uncertain(1, math.nan), Uncertain(2, 1.0, 3)])[0])


def test_the_error_of_a_ratio_is_its_spread():
    """Over 200,000 draws with errors of 2 % and 3 % the ratio spreads as the delta method says."""
    generator = np.random.default_rng(0)
    draws = generator.normal(5, 0.1, 200_000) / generator.normal(2, 0.06, 200_000)
    found = Uncertain(5.0, 0.1).over(Uncertain(2.0, 0.06))
    # The next order of the expansion is 2·0.03² = 0.2 %, the draws' own error 0.2 %.
    assert found.stderr == pytest.approx(draws.std(), rel=0.01)
