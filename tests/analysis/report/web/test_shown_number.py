from __future__ import annotations

from decimal import Decimal

import pytest

from analysis.mathematics.uncertain import Uncertain
from analysis.report.web.shown_number import common_exponent, page_text, plain_parts
from analysis.text.number import number, plus_minus, with_interval, written
from analysis.text.number_text import with_error


@pytest.mark.parametrize(
    ("was", "alone"),
    [
        (plus_minus("2.00", "0.10", -5), "(2.00 ± 0.10)×10⁻⁵"),
        (plus_minus("-1.500e-05", None), "(−1.500 ± ?)×10⁻⁵"),
        (written(3.2e-05), "3.2×10⁻⁵"),
        (written(-3.4), "−3.4"),
        (number("1,234"), "1,234"),
        (with_interval("0.27", ("0.14", "0.52")), "0.27 [0.14, 0.52]"),
        (plus_minus("+0.5", "0.1"), "+0.5 ± 0.1"),
    ],
)
def test_a_number_is_written_with_powers_of_ten_and_a_true_minus(was, alone):
    """No e-05 and no hyphen; a number that had neither stays as it was."""
    assert page_text(was, None) == alone


@pytest.mark.parametrize("value", [1.5e-7, 0.0042, 3.14159, 98765.4])
def test_digits_survive_the_power_of_a_column(value):
    """In units of 10⁻³, value and error have the digits that were written, none more or fewer."""
    shown = with_error(Uncertain(value, value / 30))
    digits = shown.digits
    parts = page_text(shown, -3).replace(",", "").split(" ± ")
    assert [Decimal(part).scaleb(-3) for part in parts] == [digits.value, digits.error]
    assert float(digits.value) == pytest.approx(value, rel=0.02)


def test_a_column_has_one_power_of_ten():
    """A multiple of three that leaves the largest between 1 and 1,000; none over too many decades."""
    numbers = [number(text) for text in ("2.0e-05", "4.1e-04", "0")]
    assert common_exponent(numbers) == -6
    assert [page_text(each, -6) for each in numbers] == ["20", "410", "0"]
    assert common_exponent([number("12.5"), number("3")]) == 0
    assert common_exponent([number("2.0e-12"), number("4")]) is None
    assert plain_parts(numbers[0]) == ("0.000020", "", "", "")
    assert numbers[0].digits.value == Decimal("2.0e-05")


def test_a_bound_with_a_power_of_its_own_keeps_its_size():
    """(1.20 [0.1, 2.0×10³])×10⁻⁵: the upper bound is 0.02, not 2,000."""
    shown = with_interval("1.20", ("0.1", "2.0e+03"), -5)
    assert shown == "(1.20 [0.1, 2.0×10³])×10⁻⁵"
    assert plain_parts(shown) == ("0.0000120", "", "0.000001", "0.020")


def test_an_interval_of_many_powers_of_ten_stays_as_it_was_written():
    """Each end with its own, and no power for its column."""
    wide = with_interval("2.00e-06", ("1.00e-09", "3.00e+04"))
    assert page_text(wide, None) == "2.00×10⁻⁶ [1.00×10⁻⁹, 3.00×10⁴]"
    assert common_exponent([wide, number("3.00e-06")]) is None
