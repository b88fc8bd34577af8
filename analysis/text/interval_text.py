"""Values with their 95 % intervals as text: three digits each, trailing zeros included."""

from __future__ import annotations

import math

from analysis.mathematics.interval import Interval
from analysis.text.number import number, with_interval
from analysis.text.number_text import NOTHING


def ratio_text(log_ratio: Interval) -> str:
    """Format a ratio from its logarithm: `1.04 [0.95, 1.13]`."""
    bounds = (log_ratio.low, log_ratio.high)
    low, high = (None if bound is None else _exp(bound) for bound in bounds)
    return interval_text(Interval(_exp(log_ratio.value), low, high))


def interval_text(interval: Interval) -> str:
    """Format `value [low, high]` with three digits, and one power of ten where there is any.

    Where an end is so far from the value that it needs another power, each is written with its own. A
    narrow interval has as many digits more as tell value and ends apart, three at most.
    """
    if not math.isfinite(interval.value):
        return NOTHING
    parts = [each for each in (interval.value, interval.low, interval.high) if each is not None]
    exponent = _exponent(interval.value)
    texts = _told_apart([part / 10.0**exponent for part in parts])
    if any("e" in text for text in texts):
        exponent, texts = 0, _told_apart(parts)
    value, *bounds = texts
    return with_interval(value, (bounds[0], bounds[1]) if len(bounds) == 2 else None, exponent)


def three_digits(value: float) -> str:
    """Format a number with three digits, trailing zeros included: 1.00, 0.950, 12.0."""
    return number(_digits(value))


def _told_apart(parts: list[float]) -> list[str]:
    """Write value, low and high with three digits, or as many up to six as tell all of them apart."""
    for num_digits in range(3, 7):
        texts = [_digits(part, num_digits) for part in parts]
        if len(set(texts)) == len(set(parts)):
            return texts
    return [_digits(part) for part in parts]


def _digits(value: float, num_digits: int = 3) -> str:
    return f"{value:#.{num_digits}g}".removesuffix(".")


def _exponent(value: float) -> int:
    """Return the exponent that three digits would be written with; 0 for none."""
    _, _, exponent = f"{value:#.3g}".partition("e")
    return int(exponent or 0)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
