from __future__ import annotations

import math

from analysis.mathematics.interval import Interval
from analysis.text.interval_text import interval_text, ratio_text


def test_ratios_are_written_with_their_interval():
    """Three digits, zeros included; [?] without an interval, a dash without a value."""
    half = math.log(1.1)
    assert ratio_text(Interval(0.0, -half, half)) == "1.00 [0.909, 1.10]"
    assert ratio_text(Interval(math.log(120.0))) == "120 [?]"
    assert interval_text(Interval(math.nan)) == "–"
    assert ratio_text(Interval(0.0, -900.0, 900.0)).startswith("1.00 [0.00, ")


def test_a_ratio_far_from_one_has_one_power_of_ten():
    """For the value and both bounds; an unknown bound stays unknown."""
    assert interval_text(Interval(2e-6, 1e-6, 4e-6)) == "(2.00 [1.00, 4.00])×10⁻⁶"
    assert interval_text(Interval(2500.0, 0.0, 1e4)) == "(2.50 [0.00, 10.0])×10³"
    assert interval_text(Interval(2e-6, None, None)) == "(2.00 [?])×10⁻⁶"
    assert interval_text(Interval(0.5, 0.25, 1.0)) == "0.500 [0.250, 1.00]"


def test_a_narrow_interval_has_the_digits_that_tell_its_ends_apart():
    """From its value too, up to six: it stood as 1.00 [1.00, 1.00]. Closer than that, three are enough."""
    assert interval_text(Interval(1.0, 0.98, 1.02)) == "1.00 [0.980, 1.02]"
    assert interval_text(Interval(1.006, 1.0, 1.012)) == "1.006 [1.000, 1.012]"
    assert interval_text(Interval(2e-6, 1.9999e-6, 2.0001e-6)) == "(2.0000 [1.9999, 2.0001])×10⁻⁶"
    assert interval_text(Interval(2.0, 2.0, 2.0)) == "2.00 [2.00, 2.00]"
    assert interval_text(Interval(2.0, 2.0 - 1e-9, 2.0 + 1e-9)) == "2.00 [2.00, 2.00]"


def test_an_interval_of_many_powers_of_ten_has_each_end_by_itself():
    """As a scientist writes them; one power serves all where none needs another."""
    assert interval_text(Interval(2e-6, 1e-9, 3e4)) == "2.00×10⁻⁶ [1.00×10⁻⁹, 3.00×10⁴]"
    assert interval_text(Interval(1.0, 2.5e-8, 4e7)) == "1.00 [2.50×10⁻⁸, 4.00×10⁷]"
    assert interval_text(Interval(2e-6, 1e-9, 9e-3)) == "2.00×10⁻⁶ [1.00×10⁻⁹, 0.00900]"
    assert interval_text(Interval(2e-6, 1e-9, 9e-5)) == "(2.00 [0.00100, 90.0])×10⁻⁶"
