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
    """Format `value [low, high]` with three digits, and one power of ten where there is any."""
    if not math.isfinite(interval.value):
        return NOTHING
    exponent = _exponent(interval.value)
    scale = 10.0**exponent
    value = _digits(interval.value / scale)
    if interval.low is None or interval.high is None:
        return with_interval(value, None, exponent)
    return with_interval(
        value, (_digits(interval.low / scale), _digits(interval.high / scale)), exponent
    )


def three_digits(value: float) -> str:
    """Format a number with three digits, trailing zeros included: 1.00, 0.950, 12.0."""
    return number(_digits(value))


def _digits(value: float) -> str:
    return f"{value:#.3g}".removesuffix(".")


def _exponent(value: float) -> int:
    """Return the exponent that three digits would be written with; 0 for none."""
    _, _, exponent = f"{value:#.3g}".partition("e")
    return int(exponent or 0)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
