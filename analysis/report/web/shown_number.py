"""Numbers as the page writes them: U+2212 for minus, powers of ten instead of e-05, one a column."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.text.number import MINUS, Number, power

_MOST_SPREAD = 4
"""Decades that one power of ten serves; numbers further apart have one each."""

_WIDEST = 6
"""Decades of an interval that one power of ten serves; of a wider one each end has its own."""

_NEGATIVE = re.compile(r"(?<![\w-])-(?=\.?\d)")


def plain_parts(number: Number) -> tuple[str, str, str, str]:
    """Return value, error, low and high for other programs, empty where there is none."""
    digits = number.digits
    parts = (digits.value, digits.error, digits.low, digits.high)
    value, error, low, high = ("" if part is None else f"{part:f}" for part in parts)
    return value, error, low, high


def page_text(number: Number, exponent: int | None) -> str:
    """Write it in units of 10^exponent; None: with a power of its own where it had one."""
    digits = number.digits
    if digits.num_decades > _WIDEST:
        return number.replace("-", MINUS)
    if exponent is None and digits.is_scientific and digits.value:
        own = digits.value.adjusted()
        text = digits.scaled(own)
        is_alone = digits.error is None and digits.low is None and not digits.has_unknown_error
        return f"{text}{power(own)}" if is_alone else f"({text}){power(own)}"
    if exponent:
        return digits.scaled(exponent)
    return digits.scaled(0) if digits.is_scientific else number.replace("-", MINUS)


def prose_text(text: str) -> str:
    """Write the numbers of a sentence with U+2212; hyphens within words, dates and names stay."""
    return _NEGATIVE.sub(MINUS, text)


def common_exponent(numbers: Sequence[Number]) -> int | None:
    """Choose the power of ten of a column, a multiple of three; None without one that serves all."""
    if not any(number.digits.is_scientific for number in numbers):
        return 0
    if any(number.digits.num_decades > _WIDEST for number in numbers):
        return None
    orders = [number.digits.value.adjusted() for number in numbers if number.digits.value]
    if not orders or max(orders) - min(orders) > _MOST_SPREAD:
        return None
    return 3 * (max(orders) // 3)
