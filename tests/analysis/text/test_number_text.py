from __future__ import annotations

import math
import re

import pytest

from analysis.mathematics.uncertain import Uncertain
from analysis.text.number import plus_minus, typeset
from analysis.text.number_text import (
    counted_from_to,
    plain,
    power_in_heading,
    with_error,
    with_errors,
)


@pytest.mark.parametrize(
    ("mean", "stderr", "text"),
    [
        (448.0123, 3.149, "448.0 ± 3.1"),
        (2.3512, 0.0261, "2.351 ± 0.026"),
        (22_398_330, 154_321, "22,400,000 ± 150,000"),
        (0.0045612, 0.0000123, "(4.561 ± 0.012)×10⁻³"),
        (-12.5, 0.5, "−12.50 ± 0.50"),
        (7.0, 0.0, "7 ± 0"),
        (95.0, 1e-14, "95 ± 1.0×10⁻¹⁴"),
        (0.001, 0.0, "1.000×10⁻³ ± 0"),
        (11.0, 2e-10, "11 ± 2.0×10⁻¹⁰"),
        (11.25, 1.05e-5, "11.250000 ± 0.000010"),
        (2.0e-3, 2e-13, "2.0000000×10⁻³ ± 2.0×10⁻¹³"),
        (12.0, 0.0996, "12.00 ± 0.10"),
        (120.0, 9.96, "120 ± 10"),
        (0.001, 0.5123, "0.00 ± 0.51"),
        (0.0, 1e-5, "(0.0 ± 1.0)×10⁻⁵"),
        (3e-5, 0.0099951, "0.000 ± 0.010"),
        (2e13, 1.234e15, "(0.0 ± 1.2)×10¹⁵"),
        (0.0, 0.1, "0.00 ± 0.10"),
        (12.345678, math.nan, "12.35 ± ?"),
        (math.nan, math.nan, "–"),
        (5.0, 200.0, "0 ± 200"),
    ],
)
def test_a_value_stands_to_the_place_of_its_error(mean, stderr, text):
    """Two digits of error, the value to the same place; unknown errors are a question mark."""
    assert with_error(Uncertain(mean, stderr, 4)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1250.0, "1,250"),
        (0.08, "0.08"),
        (1e-7, "1.000×10⁻⁷"),
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


def test_a_column_of_small_values_has_one_exponent():
    """That of the largest; a value 10⁴ times smaller keeps its own, and so do those without an error."""
    values = [(1.266e-3, 0.074e-3), (1.043e-4, 0.076e-4), (5e-8, 1e-9), (2e-3, math.nan)]
    assert with_errors([Uncertain(*value, 3) for value in values]) == [
        "(1.266 ± 0.074)×10⁻³", "(0.1043 ± 0.0076)×10⁻³", "(5.00 ± 0.10)×10⁻⁸", "2.000×10⁻³ ± ?",
    ]  # fmt: skip
    beside_large = [Uncertain(0.2275, 0.0089, 3), Uncertain(5.58e-3, 0.19e-3, 3)]
    assert with_errors(beside_large) == ["0.2275 ± 0.0089", "0.00558 ± 0.00019"]
    assert with_errors([]) == []


def test_a_number_is_typeset_without_a_change_of_value():
    """Minus is U+2212, the power of ten has superscripts; read back, every number is the same."""
    assert typeset("-1.5e-05") == "−1.5×10⁻⁵"
    for value in (0.0, -3.25, 6.9e-5, -4.4e15, 1e-300):
        assert float(_as_python_writes(typeset(repr(value)))) == value


def _as_python_writes(text: str) -> str:
    power = re.sub("×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda found: f"e{found[1].translate(_DIGITS)}", text)
    return re.sub(r"e(\d)", r"e+\1", power.replace("−", "-"))


_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def test_no_error_but_none_is_printed_as_none():
    """Over 30 powers of ten each: at most two digits of error, which say it to 5 %, and 0 only for 0."""
    for value in (0.0, 1.0, 9.9999, 10.0**-20, 3.3e7, -4.4e15):
        for power in range(-20, 10):
            for digits in (1.0, 1.049, 2.5, 9.94, 9.96):
                error = digits * 10.0**power
                text = _as_python_writes(with_error(Uncertain(value, error, 4)))
                shown, exponent = re.fullmatch(
                    r".+ ± ([\d.,e+-]+?)(?:\)(e[+-]\d+))?", text
                ).groups()
                number = float(shown.replace(",", "") + (exponent or ""))
                assert number == pytest.approx(error, rel=0.051)
                digits_shown = re.sub(r"e.*|[.,]", "", shown).strip("0")
                assert len(digits_shown) <= 2


def test_a_power_that_a_column_shares_stands_in_its_heading():
    """Beside values that are not there; with two powers, or a number without one, on each value."""
    same = [plus_minus("1.27", "0.07", -3), "–", plus_minus("5.17", "0.16", -3)]
    assert power_in_heading("excess", same) == (
        "excess (×10⁻³)", ["1.27 ± 0.07", "–", "5.17 ± 0.16"],
    )  # fmt: skip
    for texts in (
        [*same, plus_minus("1.0", "0.1", -8)],
        [*same, plus_minus("2.0", "0.1")],
        ["–"],
        [],
    ):
        assert power_in_heading("excess", texts) == ("excess", texts)


@pytest.mark.parametrize(
    ("fewest", "most", "said"), [(1, 1, "1 seed"), (3, 3, "3 seeds"), (0, 1, "0 to 1 seeds")]
)
def test_counts_that_differ_are_told_as_a_range(fewest, most, said):
    """One number where they do not."""
    assert counted_from_to(fewest, most, "seed") == said
