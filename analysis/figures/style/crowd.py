"""More cells than small multiples can hold: all in one panel, coloured by BS/LR, as one image within the figure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from analysis.figures.style.figure_style import set_log
from analysis.laws.palette import CELL_COLORS
from analysis.records.cell import Cell

Array = npt.NDArray[np.float64]

MOST_APART = 60
"""Cells that small multiples tell apart; of more, a figure shows the trend and its file of numbers each value."""

CROWD_SAID = (
    f"More than {MOST_APART} cells are drawn together, without a label or a value on hover for each; "
    "every value is in the figure's CSV"
)

_COLORS = LinearSegmentedColormap.from_list("cells", CELL_COLORS)
_THIN, _AREA = 0.5, 6.0
"""Width of lines and area of marks, in points."""


def is_crowd(cells: Collection[Cell]) -> bool:
    """Whether these are more cells than are drawn one by one."""
    return len(cells) > MOST_APART


def crowd_said(cells: Collection[Cell]) -> str:
    """Return the sentence of a caption, with a space before it; nothing for few cells."""
    return f" {CROWD_SAID}." if is_crowd(cells) else ""


def crowd_scale(cells: Collection[Cell]) -> ScalarMappable:
    """Return the colours of cells by their BS/LR, on a logarithmic scale."""
    ratios = [cell.batch_size_over_learning_rate for cell in cells]
    low, high = min(ratios), max(ratios)
    return ScalarMappable(LogNorm(low, high if high > low else 1.01 * low), _COLORS)


def crowd_colors(scale: ScalarMappable, cells: Iterable[Cell]) -> Array:
    """Return the colour of each cell [n, 4]."""
    ratios = np.array([cell.batch_size_over_learning_rate for cell in cells])
    return np.asarray(scale.to_rgba(ratios), np.float64)


def crowd_bar(figure: Figure, panels: Sequence[Axes], scale: ScalarMappable) -> None:
    """Put the scale of BS/LR to the right of panels."""
    bar = figure.colorbar(scale, ax=list(panels), aspect=40, pad=0.02)
    set_log(bar.ax.yaxis)
    bar.ax.minorticks_off()
    bar.set_label("m/η = BS/LR, examples (log scale)")
    bar.ax.grid(visible=False)


def draw_points(
    axes: Axes,
    places: Sequence[float] | Array,
    values: Sequence[float] | Array,
    errors: Sequence[float] | Array | None = None,
    *,
    colors: Array | str,
    marker: str = "o",
) -> None:
    """Draw points [n], with errors [n] that are NaN where there is none, as two artists.

    An error of a positive value does not reach 0, which a logarithmic axis cannot show.
    """
    x, y = np.asarray(places, np.float64), np.asarray(values, np.float64)
    if errors is not None:
        half = np.nan_to_num(np.asarray(errors, np.float64), posinf=0.0)
        low = np.where(y > 0, np.maximum(y - half, 1e-3 * y), y - half)
        bars = np.stack([np.column_stack([x, low]), np.column_stack([x, y + half])], axis=1)
        lines = LineCollection(list(bars), colors=colors, linewidths=_THIN, alpha=0.5)
        axes.add_collection(lines)
        as_image(lines)
    as_image(axes.scatter(x, y, s=_AREA, c=colors, marker=marker, linewidths=0))


def draw_curves(axes: Axes, curves: Sequence[Array], colors: Array) -> None:
    """Draw curves [n_i, 2], each of one colour [n, 4], as one artist; those of one point as marks."""
    lines = LineCollection(list(curves), colors=colors, linewidths=_THIN, alpha=0.7)
    axes.add_collection(lines)
    as_image(lines)
    alone = [place for place, curve in enumerate(curves) if len(curve) == 1]
    if alone:
        points = np.concatenate([curves[place] for place in alone])
        as_image(axes.scatter(points[:, 0], points[:, 1], s=_AREA, c=colors[alone], linewidths=0))
    axes.autoscale_view()


def as_image(artist: Artist) -> None:
    """Draw an artist as an image within the figure, whose size does not grow with what it holds."""
    artist.set_rasterized(True)
