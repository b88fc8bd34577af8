"""Numbers as text: as many digits as their error allows."""

from __future__ import annotations

import math

from analysis.estimate import Estimate

NOTHING = "–"
"""Stands where there is no value."""

_SMALL, _LARGE = 1e-2, 1e12


def with_error(estimate: Estimate) -> str:
    """Write `value ± error`: the error with two digits, the value to the same place.

    Without an error (one seed) four digits of the value stand, followed by `± ?`.
    """
    if not math.isfinite(estimate.mean):
        return NOTHING
    if not math.isfinite(estimate.stderr):
        return f"{plain(estimate.mean)} ± ?"
    if estimate.mean != 0 and not _SMALL <= abs(estimate.mean) < _LARGE:
        return _scientific(estimate)
    if estimate.stderr == 0:
        return f"{plain(estimate.mean)} ± 0"
    decimals = 1 - _exponent(estimate.stderr)
    shown = max(0, decimals)
    mean, stderr = round(estimate.mean, decimals), round(estimate.stderr, decimals)
    return f"{mean:,.{shown}f} ± {stderr:,.{shown}f}"


def plain(value: float | None, num_digits: int = 4) -> str:
    """Write a number with so many digits; whole numbers above that in full, with separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and not _SMALL <= abs(value) < _LARGE:
        return f"{value:.{num_digits - 1}e}"
    decimals = max(0, num_digits - 1 - _exponent(value))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scientific(estimate: Estimate) -> str:
    exponent = _exponent(estimate.mean)
    value, error = estimate.mean / 10.0**exponent, estimate.stderr / 10.0**exponent
    decimals = 2 if error == 0 else min(max(0, 1 - _exponent(error)), 6)
    return f"({value:.{decimals}f} ± {error:.{decimals}f})e{exponent:+03d}"


def _exponent(value: float) -> int:
    return 0 if value == 0 else math.floor(math.log10(abs(value)))
