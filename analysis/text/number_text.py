"""Numbers as text: as many digits as their error allows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from analysis.mathematics.uncertain import Uncertain

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"
"""What is shown where there is no value."""

_SMALL, _LARGE = 1e-2, 1e12
_MOST_DIGITS = 8
"""Digits of a value beside its error: one more than float32 has, so that two digits of 1e-6 fit."""

_WIDEST = 3
"""Powers of ten between values of a column that one exponent still serves."""

SUPERSCRIPTS = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = str.maketrans("-0123456789", SUPERSCRIPTS)
_SCALED = re.compile(r"\(([^()]*)\)(×10\S+)")
_POWER = re.compile(r"e([+-]\d+)")


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
        return f"{plain(mean)} ± ?"
    if stderr == 0:
        return f"{plain(mean)} ± 0"
    stderr = float(f"{stderr:.1e}")
    larger = max(abs(mean), stderr)
    if _exponent(larger) - _exponent(stderr) + 2 > _MOST_DIGITS:
        return f"{plain(mean, _MOST_DIGITS)} ± {typeset(f'{stderr:.1e}')}"
    if exponent is None:
        exponent = 0 if _SMALL <= larger < _LARGE else _exponent(larger)
    if exponent == 0:
        return _aligned(mean, stderr)
    return f"({_aligned(mean / 10.0**exponent, stderr / 10.0**exponent)}){power(exponent)}"


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
    found = [_SCALED.fullmatch(text) for text in texts if text != NOTHING]
    scaled = [match for match in found if match]
    if not scaled or len(scaled) < len(found) or len({match[2] for match in scaled}) > 1:
        return heading, list(texts)
    bare = iter([match[1] for match in scaled])
    shown = [text if text == NOTHING else next(bare) for text in texts]
    return f"{heading} ({scaled[0][2]})", shown


def plain(value: float | None, num_digits: int = 4) -> str:
    """Format a number with so many digits; whole numbers above that in full, with separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and not _SMALL <= abs(value) < _LARGE:
        return typeset(f"{value:.{num_digits - 1}e}")
    decimals = max(0, num_digits - 1 - _exponent(value))
    text = f"{value:,.{decimals}f}"
    return typeset(text.rstrip("0").rstrip(".") if "." in text else text)


def typeset(number: str) -> str:
    """Rewrite a number as Python writes it in the way of print: -1.2e-05 as −1.2×10⁻⁵."""
    whole = _POWER.sub(lambda found: power(int(found[1])), number)
    return whole.replace("-", MINUS)


def power(exponent: int) -> str:
    """Return a power of ten as a factor: ×10⁻³."""
    return f"×10{str(exponent).translate(_RAISED)}"


def _exponent(value: float) -> int:
    return 0 if value == 0 else math.floor(math.log10(abs(value)))


def _aligned(value: float, error: float) -> str:
    """Format a value to the second digit of its error, which has two."""
    decimals = 1 - _exponent(float(f"{error:.1e}"))
    shown = max(0, decimals)
    return typeset(f"{round(value, decimals):,.{shown}f} ± {round(error, decimals):,.{shown}f}")


def _size(estimate: Uncertain) -> float:
    """Return what decides the exponent of an estimate; 0 where it has no finite error above 0."""
    if not (math.isfinite(estimate.value) and math.isfinite(estimate.stderr)):
        return 0.0
    return max(abs(estimate.value), estimate.stderr) if estimate.stderr else 0.0
