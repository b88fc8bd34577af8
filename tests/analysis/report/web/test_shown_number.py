from __future__ import annotations

from decimal import Decimal

import pytest

from analysis.mathematics.uncertain import Uncertain
from analysis.report.web.shown_number import common_exponent, read_number
from analysis.text.number_text import with_error


@pytest.mark.parametrize(
    ("was", "alone"),
    [
        ("(2.00 ± 0.10)e-05", "(2.00 ± 0.10)×10⁻⁵"),
        ("-1.500e-05 ± ?", "(−1.500 ± ?)×10⁻⁵"),
        ("3.2e-05", "3.2×10⁻⁵"),
        ("-3.4", "−3.4"),
        ("1,234", "1,234"),
        ("0.27 [0.14, 0.52]", "0.27 [0.14, 0.52]"),
        ("+0.5 ± 0.1", "+0.5 ± 0.1"),
    ],
)
def test_a_number_is_written_with_powers_of_ten_and_a_true_minus(was, alone):
    """No e-05 and no hyphen; a number that had neither stays as it was."""
    assert read_number(was).text(None) == alone


@pytest.mark.parametrize("text", ["–", "", "3/3*", "BS 32", "holds", "2, 7", "1)"])
def test_what_is_no_number_is_not_read(text):
    """Cells, counts with a mark and words stay texts."""
    assert read_number(text) is None


@pytest.mark.parametrize("value", [1.5e-7, 0.0042, 3.14159, 98765.4])
def test_digits_survive_the_power_of_a_column(value):
    """Multiplied back, value and error are those that were written, to the last digit."""
    number = read_number(with_error(Uncertain(value, value / 30)))
    shown = read_number(number.text(-3))
    assert shown.value.scaleb(-3) == number.value
    assert shown.error.scaleb(-3) == number.error
    assert float(number.value) == pytest.approx(value, rel=0.02)


def test_a_column_has_one_power_of_ten():
    """A multiple of three that leaves the largest between 1 and 1,000; none over too many decades."""
    numbers = [read_number(text) for text in ("2.0e-05", "4.1e-04", "0")]
    assert common_exponent(numbers) == -6
    assert [number.text(-6) for number in numbers] == ["20", "410", "0"]
    assert common_exponent([read_number("12.5"), read_number("3")]) == 0
    assert common_exponent([read_number("2.0e-12"), read_number("4")]) is None
    assert numbers[0].plain == ("0.000020", "", "", "")
    assert numbers[0].value == Decimal("2.0e-05")
