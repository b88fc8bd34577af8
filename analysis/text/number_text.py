"""Numbers as text: as many digits as their error allows."""

from __future__ import annotations

import math

from analysis.mathematics.uncertain import Uncertain

NOTHING = "–"
"""What is shown where there is no value."""

_SMALL, _LARGE = 1e-2, 1e12
_MOST_DIGITS = 8
"""Digits of a value beside its error: one more than float32 has, so that two digits of 1e-6 fit."""


def with_error(estimate: Uncertain) -> str:
    """Format `value ± error`: the error with two digits, the value to the same place.

    `± 0` means an error of exactly 0. An error too small beside the digits of the value is written
    with a power of ten. Without an error (one seed) the value has four digits, followed by `± ?`.
    """
    mean, stderr = estimate.value, estimate.stderr
    if not math.isfinite(mean):
        return NOTHING
    if not math.isfinite(stderr):
        return f"{plain(mean)} ± ?"
    if stderr == 0:
        return f"{plain(mean)} ± 0"
    stderr = float(f"{stderr:.1e}")
    larger = max(abs(mean), stderr)
    if _exponent(larger) - _exponent(stderr) + 2 > _MOST_DIGITS:
        return f"{plain(mean, _MOST_DIGITS)} ± {stderr:.1e}"
    if _SMALL <= larger < _LARGE:
        return _aligned(mean, stderr)
    exponent = _exponent(larger)
    return f"({_aligned(mean / 10.0**exponent, stderr / 10.0**exponent)})e{exponent:+03d}"


def plain(value: float | None, num_digits: int = 4) -> str:
    """Format a number with so many digits; whole numbers above that in full, with separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and not _SMALL <= abs(value) < _LARGE:
        return f"{value:.{num_digits - 1}e}"
    decimals = max(0, num_digits - 1 - _exponent(value))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _aligned(value: float, error: float) -> str:
    """Format a value to the second digit of its error, which has two."""
    decimals = 1 - _exponent(float(f"{error:.1e}"))
    shown = max(0, decimals)
    return f"{round(value, decimals):,.{shown}f} ± {round(error, decimals):,.{shown}f}"


def _exponent(value: float) -> int:
    return 0 if value == 0 else math.floor(math.log10(abs(value)))
