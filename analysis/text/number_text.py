"""Numbers as text: as many digits as their error allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.mathematics.uncertain import Uncertain
from analysis.text.number import Number, number, plus_minus, power

NOTHING = "–"
"""What is shown where there is no value."""

_SMALL, _LARGE = 1e-2, 1e12
_MOST_DIGITS = 8
"""Digits of a value beside its error: one more than float32 has, so that two digits of 1e-6 fit."""

_WIDEST = 3
"""Powers of ten between values of a column that one exponent still serves."""


def with_error(estimate: Uncertain, exponent: int | None = None) -> str:
    """Format `value ± error`: the error with two digits, the value to the same place.

    `± 0` means an error of exactly 0. An error too small beside the digits of the value is written
    with a power of ten. Without an error (one seed) the value has four digits, followed by `± ?`.

    Args:
        estimate: What to format.
        exponent: Of the power of ten to write it with; by default its own where it is small or huge.
    """
    mean, stderr = estimate.value, estimate.stderr
    if not math.isfinite(mean):
        return NOTHING
    if not math.isfinite(stderr):
        return plus_minus(_digits(mean), None)
    if stderr == 0:
        return plus_minus(_digits(mean), "0")
    stderr = float(f"{stderr:.1e}")
    larger = max(abs(mean), stderr)
    if _exponent(larger) - _exponent(stderr) + 2 > _MOST_DIGITS:
        return plus_minus(_digits(mean, _MOST_DIGITS), f"{stderr:.1e}")
    if exponent is None:
        exponent = 0 if _SMALL <= larger < _LARGE else _exponent(larger)
    return _aligned(mean / 10.0**exponent, stderr / 10.0**exponent, exponent)


def with_errors(estimates: Sequence[Uncertain]) -> list[str]:
    """Format a column as `with_error` does, with one exponent: that of its largest value.

    A value smaller by more than three powers of ten keeps an exponent of its own.
    """
    sizes = [_size(estimate) for estimate in estimates]
    largest = max(sizes, default=0.0)
    if not 0 < largest < _LARGE:
        return [with_error(estimate) for estimate in estimates]
    shared = 0 if largest >= _SMALL else _exponent(largest)
    least = 10.0 ** (_exponent(largest) - _WIDEST)
    return [
        with_error(estimate, shared if size >= least else None)
        for estimate, size in zip(estimates, sizes, strict=True)
    ]


def power_in_heading(heading: str, texts: Sequence[str]) -> tuple[str, list[str]]:
    """Move the power of ten that all texts of a column share into its heading.

    A column whose texts have different ones, or that holds a text of another form, stays as it is.
    """
    found = [text for text in texts if text != NOTHING]
    exponents = {text.digits.exponent if isinstance(text, Number) else 0 for text in found}
    if len(exponents) != 1 or exponents == {0}:
        return heading, list(texts)
    (exponent,) = exponents
    shown = [text.digits.scaled(exponent) if isinstance(text, Number) else text for text in texts]
    return f"{heading} ({power(exponent)})", shown


def counted(number: int, what: str) -> str:
    """Write how many there are of what: 1 cell, 3 cells."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def counted_from_to(fewest: int, most: int, what: str) -> str:
    """Write how many there are of what, where numbers differ: 3 seeds, 1 to 3 seeds."""
    return counted(most, what) if fewest == most else f"{fewest} to {most} {what}s"


def plain(value: float | None, num_digits: int = 4) -> str:
    """Format a number with so many digits; whole numbers above that in full, with separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return number(_digits(value, num_digits))


def ungrouped(value: float, num_digits: int) -> str:
    """Format a number as `plain` does, without separators."""
    return number(_digits(value, num_digits).replace(",", ""))


def _digits(value: float, num_digits: int = 4) -> str:
    if value != 0 and not _SMALL <= abs(value) < _LARGE:
        return f"{value:.{num_digits - 1}e}"
    decimals = max(0, num_digits - 1 - _exponent(value))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exponent(value: float) -> int:
    return 0 if value == 0 else math.floor(math.log10(abs(value)))


def _aligned(value: float, error: float, exponent: int) -> str:
    """Format a value to the second digit of its error, which has two."""
    decimals = 1 - _exponent(float(f"{error:.1e}"))
    if decimals < 0:  # which a format cannot have
        value, error, decimals = round(value, decimals), round(error, decimals), 0
    return plus_minus(f"{value:,.{decimals}f}", f"{error:,.{decimals}f}", exponent)


def _size(estimate: Uncertain) -> float:
    """Return what decides the exponent of an estimate; 0 where it has no finite error above 0."""
    if not (math.isfinite(estimate.value) and math.isfinite(estimate.stderr)):
        return 0.0
    return max(abs(estimate.value), estimate.stderr) if estimate.stderr else 0.0
