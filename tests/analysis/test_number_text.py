from __future__ import annotations

import math

import pytest

from analysis.estimate import Estimate
from analysis.number_text import plain, with_error


@pytest.mark.parametrize(
    ("mean", "stderr", "text"),
    [
        (448.0123, 3.149, "448.0 ± 3.1"),
        (2.3512, 0.0261, "2.351 ± 0.026"),
        (22_398_330, 154_321, "22,400,000 ± 150,000"),
        (0.0045612, 0.0000123, "(4.561 ± 0.012)e-03"),
        (-12.5, 0.5, "-12.50 ± 0.50"),
        (7.0, 0.0, "7 ± 0"),
        (0.001, 0.0, "(1.00 ± 0.00)e-03"),
        (0.0, 0.1, "0.00 ± 0.10"),
        (12.345678, math.nan, "12.35 ± ?"),
        (math.nan, math.nan, "–"),
        (5.0, 200.0, "0 ± 200"),
    ],
)
def test_a_value_stands_to_the_place_of_its_error(mean, stderr, text):
    """Two digits of error, the value to the same place; unknown errors are a question mark."""
    assert with_error(Estimate(mean, stderr, 5)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1250.0, "1,250"),
        (0.08, "0.08"),
        (1e-7, "1.000e-07"),
        (123456789, "123,456,789"),
        (0, "0"),
        (None, "–"),
        (math.inf, "–"),
        (33.3333333, "33.33"),
    ],
)
def test_a_number_alone_has_four_digits(value, text):
    """Trailing zeros go, large whole numbers stay whole."""
    assert plain(value) == text
