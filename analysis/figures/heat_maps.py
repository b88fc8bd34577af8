"""Heat maps over batch size and learning rate, each with its scale and the value in each square."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from analysis.figures.style.figure_style import (
    WIDE_INCHES,
    WIDTH_INCHES,
    axis_label,
    panel_title,
    set_log,
)
from analysis.figures.style.hover import cell_title, set_titles, value_title
from analysis.findings.measured import MeasuredCells
from analysis.laws.palette import GREY
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.text.number_text import plain
from workers.contract.quantities import GLOSSARY

LEAST_SHARE = 0.4
"""Of the squares that a sweep must plan: a list of pairs scattered over the plane is no map."""

MOST_SQUARES = 100
"""In which a number can be read."""

_COLOR_MAP = "cividis"
_DARK_TEXT_ABOVE = 0.55
_DARK, _LIGHT = "#111111", "#fefefe"
"""Of texts on coloured squares, which stay as they are where the page around them is dark."""

_INK, _PAPER = "black", "white"
"""Of squares without a value; they change with the page."""

_DIGIT_INCHES, _TICK_INCHES, _GAP_INCHES = 0.063, 0.078, 0.07
"""Widths of a character in a square and below the axis, and what is left free between two."""

_BESIDE_INCHES = 1.45
"""Of a map: its axis, its scale and their labels."""

_LEAST_ROWS = 3
"""So many are as high as the labels of a scale need."""


@dataclass(frozen=True)
class MapPanel:
    """One map.

    Attributes:
        name: The quantity as records have it.
        title: The quantity in words.
        label: Its symbol and unit, beside the scale.
        symbol: As titles of squares call it.
        values: By cell; a cell without one is missing.
        is_log: Whether colours are on a logarithmic scale.
    """

    name: str
    title: str
    label: str
    symbol: str
    values: Mapping[Cell, Uncertain]
    is_log: bool = True

    @property
    def norm(self) -> Normalize:
        """The scale of its colours; flat values, up to rounding, are in its middle."""
        finite = [each.value for each in self.values.values() if math.isfinite(each.value)]
        low, high = min(finite), max(finite)
        if math.isclose(low, high, rel_tol=1e-6):
            low, high = low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9
        return LogNorm(low, high) if self.is_log and low > 0 else Normalize(low, high)


@dataclass(frozen=True)
class _Grid:
    """The squares: batch sizes upward, learning rates to the right."""

    sizes: Sequence[int]
    rates: Sequence[float]

    def cells(self, loss: str) -> dict[Cell, tuple[int, int]]:
        """Return the cell of every square, with its column and row."""
        return {
            Cell(loss, size, rate): (column, row)
            for row, size in enumerate(self.sizes)
            for column, rate in enumerate(self.rates)
        }


def heat_maps(found: MeasuredCells) -> Figure | None:
    """Draw a map for each of tr σ², tr H, their ratio, ηλ₁ and test accuracy that was measured.

    None where the cells are no grid of two or more batch sizes by two or more learning rates, or where
    the numbers of a row are wider than a page.
    """
    cells, panels = list(found.states), map_panels(found)
    grid = _Grid(
        sorted({cell.batch_size for cell in cells}), sorted({cell.learning_rate for cell in cells})
    )
    num_squares = len(grid.sizes) * len(grid.rates)
    is_grid = min(len(grid.sizes), len(grid.rates)) > 1 and len(cells) >= LEAST_SHARE * num_squares
    if not panels or not is_grid or num_squares > MOST_SQUARES:
        return None
    width = _width(panels, grid)
    if width > WIDE_INCHES:
        return None
    num_columns = min(len(panels), 2 if 2 * width <= WIDE_INCHES else 1)
    num_rows = math.ceil(len(panels) / num_columns)
    figure = Figure(
        figsize=(
            WIDTH_INCHES if num_columns * width <= WIDTH_INCHES else WIDE_INCHES,
            num_rows * (0.8 + 0.36 * max(_LEAST_ROWS, len(grid.sizes))),
        ),
        layout="constrained",
    )
    axes_of = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, panel in zip(axes_of.flat, panels, strict=False):
        _draw(axes, panel, found, grid)
        _add_scale(figure, axes, panel, thinness=4 * max(_LEAST_ROWS, len(grid.sizes)))
    for axes in axes_of.flat[len(panels) :]:
        axes.remove()
    return figure


def map_panels(found: MeasuredCells) -> list[MapPanel]:
    """List the maps that have a finite value."""
    train, test = found.train, found.test
    accuracy = test["accuracy"].values if "accuracy" in test else {}
    step = "ηλ₁/(1+μ), final η" if found.momentum else "ηλ₁, final η"
    ratio, percent = "tr σ²/tr H", "test accuracy %"
    traces = {"gradient_noise_trace": "Gradient noise", "hessian_trace": "Curvature"}
    panels = [
        *(
            MapPanel(name, title, axis_label(name), GLOSSARY[name].symbol, train[name].values)
            for name, title in traces.items()
            if name in train
        ),
        MapPanel("trace_ratio", "Noise over curvature, a ratio", ratio, ratio, found.magnitude_difference),
        MapPanel("step_size", "Step size (unstable above 2)", step, step, found.step_size("final")),
        MapPanel(
            "test_accuracy_percent", "Test accuracy", "accuracy (%)", percent,
            {cell: value.scaled(100) for cell, value in accuracy.items()}, is_log=False,
        ),
    ]  # fmt: skip
    return [each for each in panels if any(math.isfinite(v.value) for v in each.values.values())]


def _width(panels: Sequence[MapPanel], grid: _Grid) -> float:
    """Return the inches in which a map's squares hold their numbers and learning rates side by side."""
    numbers = (plain(value.value, 3) for each in panels for value in each.values.values())
    number = max([len("diverged"), *map(len, numbers)])
    rate = max(len(f"{rate:g}") for rate in grid.rates)
    square = max(number * _DIGIT_INCHES, rate * _TICK_INCHES) + _GAP_INCHES
    return len(grid.rates) * square + _BESIDE_INCHES


def _draw(axes: Axes, panel: MapPanel, found: MeasuredCells, grid: _Grid) -> None:
    loss = next(iter(found.states)).loss
    norm = panel.norm
    for cell, place in grid.cells(loss).items():
        state, value = found.states.get(cell), panel.values.get(cell, Uncertain(math.nan))
        if state is None:
            _square(axes, place, _PAPER, "×", cell_title(cell, "not planned"))
        elif not math.isfinite(value.value):
            what = "diverged" if state.num_diverged else "missing"
            title = cell_title(cell, f"{panel.symbol} {what}")
            _square(axes, place, _PAPER, what, title, is_hatched=state.num_diverged > 0)
        else:
            share = float(norm(value.value))
            _square(
                axes, place, to_hex(colormaps[_COLOR_MAP](share)), plain(value.value, 3),
                value_title(cell, panel.symbol, value),
                ink=_DARK if share > _DARK_TEXT_ABOVE else _LIGHT,
                is_hatched=state.num_diverged > 0,
            )  # fmt: skip
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, len(grid.rates) - 0.5), ylim=(-0.5, len(grid.sizes) - 0.5))
    axes.set_xticks(range(len(grid.rates)), [f"{rate:g}" for rate in grid.rates])
    axes.set_yticks(range(len(grid.sizes)), [str(size) for size in grid.sizes])
    axes.set_xlabel("initial η (LR)")
    axes.set_ylabel("m (BS), examples")
    panel_title(axes, panel.title, WIDTH_INCHES / 2)


def _square(
    axes: Axes,
    place: tuple[int, int],
    color: str,
    text: str,
    title: str,
    *,
    ink: str = _INK,
    is_hatched: bool = False,
) -> None:
    """Draw a square, hatched where a seed diverged, and write in it; wherever one points, it has its title."""
    corner = (place[0] - 0.5, place[1] - 0.5)
    square = Rectangle(corner, 1, 1, facecolor=color, edgecolor=_PAPER, linewidth=0.8)
    parts = [axes.add_patch(square)]
    box = {"boxstyle": "square,pad=0.1", "facecolor": "none", "edgecolor": "none"}
    if is_hatched:
        hatch = Rectangle(corner, 1, 1, fill=False, hatch="///", edgecolor=GREY, linewidth=0)
        parts.append(axes.add_patch(hatch))
        box["facecolor"] = color
    written = axes.text(*place, text, ha="center", va="center", color=ink, fontsize=7, bbox=box)
    for each in (*parts, written):
        set_titles(each, [title])


def _add_scale(figure: Figure, axes: Axes, panel: MapPanel, thinness: int) -> None:
    """Put the scale of a map's colours to its right, with numbers, its quantity and unit."""
    norm = panel.norm
    bar = figure.colorbar(ScalarMappable(norm, _COLOR_MAP), ax=axes, aspect=thinness, pad=0.03)
    if isinstance(norm, LogNorm):
        set_log(bar.ax.yaxis)
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=7)
    bar.ax.grid(visible=False)
    said = "\n(log scale)" if isinstance(norm, LogNorm) else ""
    bar.set_label(panel.label + said, fontsize=8)
