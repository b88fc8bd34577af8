"""The style of figures: fonts, a palette for colour-blind readers, colours by BS/LR."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median

import matplotlib as mpl
from matplotlib.axis import Axis, YAxis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.laws.palette import BLUE, GREEN, SKY, VERMILLION
from analysis.paper.ratio_groups import ratio_group
from analysis.records.cell import Cell

WIDTH_INCHES = 7.2
"""Full text width of a printed page."""

_OF_THE_SCREEN = {"backend", "backend_fallback", "interactive", "toolbar"}
"""What no file shows; a notebook keeps the backend that it has."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "<", ">", "p", "h", "d", "8", "H")


@dataclass(frozen=True)
class CellStyle:
    """The colour, dashes, marker and legend label of a cell; no two cells have all three alike."""

    color: str
    dashes: str
    marker: str
    label: str


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


def cell_styles(cells: Sequence[Cell]) -> dict[Cell, CellStyle]:
    """Colour cells by the group of their BS/LR, as the paper's Figures 2 and 3 do.

    Blue and sky blue: a BS/LR that several cells share (without any, the median one). Green: within
    a factor 1.5 of such a value. Vermillion: further away. Of cells of one colour the first four differ
    by their dashes, all by their marker, and with more than fifteen by both together.
    """
    references = shared_ratios(cells)
    used: dict[str, int] = {}
    styles = {}
    for cell in sorted(cells, key=lambda c: (c.batch_size_over_learning_rate, c)):
        color = _color(cell.batch_size_over_learning_rate, references)
        place = used.get(color, 0)
        used[color] = place + 1
        dashes, marker = _DASHES[place % len(_DASHES)], _MARKERS[place % len(_MARKERS)]
        styles[cell] = CellStyle(color, dashes, marker, cell_label(cell))
    return styles


def set_log(axis: Axis) -> None:
    """Make an axis logarithmic, with ticks at round values, written as plain numbers."""
    name = "y" if isinstance(axis, YAxis) else "x"
    axis.axes.set(**{f"{name}scale": "log"})
    first, last = sorted(axis.get_view_interval())
    decades = math.log10(last / first) if first > 0 else 1.0
    if decades < 0.8:
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def shared_ratios(cells: Sequence[Cell]) -> list[float]:
    """Return the values of BS/LR that several cells share, ascending; the median one if none."""
    ratios = sorted(cell.batch_size_over_learning_rate for cell in cells)
    shared = sorted({a for a, b in itertools.pairwise(ratios) if math.isclose(a, b, rel_tol=1e-9)})
    return shared or [median(ratios)]


def cell_label(cell: Cell) -> str:
    """Return the label of a cell in a legend."""
    ratio = cell.batch_size_over_learning_rate
    return f"BS/LR {ratio:g}: BS {cell.batch_size}, LR {cell.learning_rate:g}"


def _color(ratio: float, references: list[float]) -> str:
    distances = [abs(math.log(ratio / reference)) for reference in references]
    nearest = min(range(len(references)), key=distances.__getitem__)
    group = ratio_group(ratio, references[nearest])
    if group == "equal":
        return (BLUE, SKY)[nearest % 2]
    return GREEN if group == "close" else VERMILLION
