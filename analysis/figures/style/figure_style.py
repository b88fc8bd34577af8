"""The style of figures: fonts, widths, axes with round numbers and units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import pairwise

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis, YAxis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.text.number import typeset
from workers.contract.quantities import GLOSSARY

WIDTH_INCHES = 7.2
"""Full text width of a printed page."""

WIDE_INCHES = 10.0
"""Of small multiples, which a page shows across and print shrinks."""

_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
_TITLE_SIZE, _TITLE_CHARACTERS = 8.5, 13
"""Of panels: points, and characters an inch."""

_FEWEST_TICKS = 3
_MOST_BESIDE, _MOST_ABOVE = 4, 6
"""Ticks of a logarithmic axis: their labels beside each other, and one above the other."""

_SMALL, _LARGE = 1e-4, 1e5
"""Of numbers written without a power of ten."""

_OF_THE_SCREEN = {"backend", "backend_fallback", "interactive", "toolbar"}
"""What no file shows; a notebook keeps the backend that it has."""


def drawing_settings() -> AbstractContextManager[None]:
    """Return the Matplotlib settings of every figure, under which equal data gives equal bytes.

    On Matplotlib's own defaults, whatever a `matplotlibrc` or a notebook has set, which comes back afterwards.
    """
    plain = {
        name: value for name, value in mpl.rcParamsDefault.items() if name not in _OF_THE_SCREEN
    }
    return mpl.rc_context(
        plain
        | {
            "font.family": ["DejaVu Sans", "sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 8.5,
            "axes.labelsize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "lines.linewidth": 1.4,
            "figure.facecolor": "white",
            "svg.fonttype": "none",  # text stays text: found, read aloud, dark in the dark
            "svg.hashsalt": "minima",
            "pdf.fonttype": 42,
            "text.parse_math": False,  # names may hold a dollar sign
        }
    )


def set_log(axis: Axis) -> None:
    """Make an axis logarithmic, with ticks at round values, written as numbers."""
    name = "y" if isinstance(axis, YAxis) else "x"
    axis.axes.set(**{f"{name}scale": "log"})
    axis.set_major_locator(RoundValues(_MOST_ABOVE if name == "y" else _MOST_BESIDE))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axis.set_minor_formatter(NullFormatter())


def ticks_at_values(axes: Axes, texts: Mapping[float, str]) -> None:
    """Put ticks of the abscissa at the values themselves where they are few and do not overlap, by value its text."""
    values = sorted(texts)
    span = math.log(values[-1] / values[0])
    gaps = [math.log(b / a) for a, b in pairwise(values)]
    if len(values) <= 4 and all(gap >= 0.15 * span for gap in gaps):
        axes.set_xticks(values, [texts[value] for value in values])
        axes.minorticks_off()


class RoundValues(LogLocator):
    """Ticks of a logarithmic axis: three round values to so many, however narrow or wide it is."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the values: powers of ten, else their simple multiples, else equal steps."""
        low, high = sorted((vmin, vmax))
        if not 0 < low < high:
            return []
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        for steps in _STEPS:
            every = [step * 10.0**decade for decade in range(first, last + 1) for step in steps]
            within = [value for value in every if low <= value <= high]
            if len(within) >= _FEWEST_TICKS:
                return within[:: -(-len(within) // self._most)]
        even = MaxNLocator(nbins=self._most - 1, min_n_ticks=_FEWEST_TICKS, steps=[1, 2, 5, 10])
        return [value for value in even.tick_values(low, high) if low <= value <= high]


def tick_text(value: float) -> str:
    """Write a number of an axis: 0.002, 10⁻⁶, 5×10⁻⁶."""
    if value == 0 or _SMALL <= abs(value) < _LARGE:
        return f"{value:g}"
    return typeset(f"{value:.3g}").removeprefix("1×")


def panel_title(axes: Axes, text: str, inches: float) -> None:
    """Write a title above a panel, in lines of at most so many inches, parted at commas."""
    lines: list[str] = []
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines else part
        if lines and len(joined) > inches * _TITLE_CHARACTERS:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1:] = [joined]
    axes.set_title("\n".join(lines), fontsize=_TITLE_SIZE)


def axis_label(quantity: str) -> str:
    """Return the symbol of a quantity with its unit, as the glossary has them."""
    found = GLOSSARY[quantity]
    return found.symbol if found.unit == "1" else f"{found.symbol} ({found.unit})"
