"""Heat maps over batch size and learning rate, with the value in each square."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from analysis.figures.style.figure_style import WIDTH_INCHES, axis_label
from analysis.figures.style.hover import set_titles, value_title
from analysis.findings.measured import MeasuredCells
from analysis.laws.palette import GREY
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.text.number_text import plain

LEAST_SHARE = 0.4
"""Of the squares that a sweep must plan: a list of pairs scattered over the plane is no map."""

MOST_SQUARES = 100
"""In which a number can be read."""

_COLOR_MAP = "cividis"
_DARK_TEXT_ABOVE = 0.55

Panel = tuple[str, Mapping[Cell, Uncertain], bool]
"""Its title, its values, and whether they are on a logarithmic scale."""

_DARK, _LIGHT = "#111111", "#fefefe"
"""Of texts on coloured squares, which stay as they are where the page around them is dark."""


def heat_maps(found: MeasuredCells) -> Figure | None:
    """Draw a map for each of tr σ², tr H, their ratio, ηλ₁ and test accuracy that was measured.

    None where the cells are no grid of two or more batch sizes by two or more learning rates.
    """
    cells = list(found.states)
    sizes = sorted({cell.batch_size for cell in cells})
    rates = sorted({cell.learning_rate for cell in cells})
    num_squares = len(sizes) * len(rates)
    is_grid = len(sizes) > 1 and len(rates) > 1 and len(cells) >= LEAST_SHARE * num_squares
    panels = map_panels(found)
    if not panels or not is_grid or num_squares > MOST_SQUARES:
        return None
    widest = 3 if len(rates) <= 4 and len(panels) != 4 else 2 if len(rates) <= 7 else 1
    num_columns = min(len(panels), widest)
    num_rows = math.ceil(len(panels) / num_columns)
    height = num_rows * (0.75 + 0.36 * len(sizes))
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, found, sizes, rates)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    return figure


def map_panels(found: MeasuredCells) -> list[Panel]:
    """List the maps that have a finite value."""
    train, test = found.train, found.test
    accuracy = test["accuracy"].values if "accuracy" in test else {}
    step = "ηλ₁/(1+μ), final η" if found.momentum else "ηλ₁, final η"
    panels: list[Panel] = [
        *(
            (axis_label(name), train[name].values, True)
            for name in ("gradient_noise_trace", "hessian_trace")
            if name in train
        ),
        ("tr σ²/tr H", found.magnitude_difference, True),
        (step, found.step_size("final"), True),
        ("test accuracy %", {c: v.scaled(100) for c, v in accuracy.items()}, False),
    ]
    return [panel for panel in panels if any(math.isfinite(v.value) for v in panel[1].values())]


def _draw(
    axes: Axes, panel: Panel, found: MeasuredCells, sizes: Sequence[int], rates: Sequence[float]
) -> None:
    title, values, is_log = panel
    squares = np.full((len(sizes), len(rates)), np.nan)
    for cell, value in values.items():
        squares[sizes.index(cell.batch_size), rates.index(cell.learning_rate)] = value.value
    norm = _norm(squares, is_log=is_log)
    columns, rows = np.arange(len(rates) + 1) - 0.5, np.arange(len(sizes) + 1) - 0.5
    axes.pcolormesh(columns, rows, np.ma.masked_invalid(squares), cmap=_COLOR_MAP, norm=norm)
    axes.grid(visible=False)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlabel("initial η (LR)")
    axes.set_ylabel("m (BS), examples")
    axes.set_title(title, fontsize=8.5)
    for cell, state in found.states.items():
        row, column = sizes.index(cell.batch_size), rates.index(cell.learning_rate)
        text = _square(axes, (column, row), float(squares[row, column]), norm, has_diverged=state.num_diverged > 0)  # fmt: skip
        if cell in values:
            set_titles(text, [value_title(cell, title, values[cell])])
    _cross_out_unplanned(axes, set(found.states), sizes, rates)


def _square(
    axes: Axes, place: tuple[int, int], value: float, norm: Normalize, *, has_diverged: bool
) -> Text:
    """Write a value, or that it is missing; hatch the square of a cell with a diverged seed."""
    is_known = math.isfinite(value)
    is_light = is_known and float(norm(value)) > _DARK_TEXT_ABOVE
    color = _LIGHT if is_known and not is_light else _DARK
    if has_diverged:
        corner = (place[0] - 0.5, place[1] - 0.5)
        axes.add_patch(
            Rectangle(corner, 1, 1, fill=False, hatch="///", edgecolor=GREY, linewidth=0)
        )
    missing = "diverged" if has_diverged else "missing"
    text = plain(value, 3) if is_known else missing
    box = {"boxstyle": "square,pad=0.1", "facecolor": "none", "edgecolor": "none"}
    if has_diverged:
        box |= {"facecolor": _DARK if color == _LIGHT else _LIGHT}
    return axes.text(*place, text, ha="center", va="center", color=color, fontsize=7, bbox=box)


def _cross_out_unplanned(
    axes: Axes, planned: set[Cell], sizes: Sequence[int], rates: Sequence[float]
) -> None:
    known = {(cell.batch_size, cell.learning_rate) for cell in planned}
    for row, size in enumerate(sizes):
        for column, rate in enumerate(rates):
            if (size, rate) not in known:
                axes.text(column, row, "×", ha="center", va="center", color=GREY, fontsize=8)


def _norm(squares: np.ndarray[tuple[int, int], np.dtype[np.float64]], *, is_log: bool) -> Normalize:
    finite = squares[np.isfinite(squares)]
    low, high = float(finite.min()), float(finite.max())
    if math.isclose(low, high, rel_tol=1e-6):  # rounding is no structure
        low, high = low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9
    return LogNorm(low, high) if is_log and low > 0 else Normalize(low, high)
