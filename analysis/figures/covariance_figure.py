"""The covariance of SGD along eigenvectors of the Hessian, and the noise there, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.evidence.covariance import CellCovariance
from analysis.evidence.directions import Direction
from analysis.figures.style.cell_styles import CellStyle, cell_panels, legend_beside
from analysis.figures.style.crowd import (
    as_image,
    crowd_bar,
    crowd_colors,
    crowd_scale,
    draw_points,
    is_crowd,
)
from analysis.figures.style.figure_style import WIDE_INCHES, WIDTH_INCHES, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.laws.palette import GREY
from analysis.mathematics.verdict import BAND
from analysis.predictions import laws
from analysis.records.cell import Cell, by_ratio
from analysis.text.number_text import plain

_COLUMNS = 3
_LAWS = (
    ("jastrzebski", "measured / (η/2m), Jastrzębski, Eq 5", "jastrzebski_9"),
    ("wang", "measured / Γ of ΓH + HΓ = σ²", "wang_4_45"),
)
"""What is compared, its label, and the law as whose it is drawn."""


def covariance_figure(found: Sequence[CellCovariance], cells: Sequence[Cell]) -> Figure | None:
    """Draw measured/predicted variance against ηλ for both laws, and cᵢ against λᵢ by cell.

    Args:
        found: Of every cell and fork that has any.
        cells: All of the sweep, by which cells have their colours.
    """
    if not found:
        return None
    by_cell: dict[Cell, list[Direction]] = {}
    for each in found:
        by_cell.setdefault(each.cell, []).extend(chain(*each.trials))
    noisy = [cell for cell, items in by_cell.items() if any(_has_noise(item) for item in items)]
    if is_crowd(by_cell):
        return _crowd(by_cell, noisy)
    panels = cell_panels(cells, noisy)
    num_axes = 1 + len(panels)
    is_small = num_axes <= 2
    num_columns = num_axes if is_small else _COLUMNS
    num_rows = -(-num_axes // num_columns)
    size = (WIDTH_INCHES, 3.9 + 0.16 * -(-len(noisy) // 3)) if is_small else (WIDE_INCHES, 2.6 * num_rows + 0.4)  # fmt: skip
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    _ratios(grid[0], by_cell)
    if panels:
        grid[0].plot([], [], color=GREY, linewidth=1, label="c = λ, if σ² = H")
    for axes, panel in zip(grid[1:], panels, strict=False):
        _noise(axes, by_cell, panel.styles)
        panel_title(axes, panel.title, WIDE_INCHES / _COLUMNS - 0.7)
        if not is_small:
            legend_beside(axes)
    for axes in grid[num_axes:]:
        axes.remove()
    labelled = grid[: num_axes if is_small else 1]
    handles = [axes.get_legend_handles_labels() for axes in labelled]
    figure.legend(
        [item for both in handles for item in both[0]],
        [item for both in handles for item in both[1]],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return figure


def _crowd(by_cell: Mapping[Cell, Sequence[Direction]], noisy: Sequence[Cell]) -> Figure:
    """Draw the directions of many cells as an image in each of two panels."""
    figure = Figure(figsize=(WIDE_INCHES, 4.4), layout="constrained")
    panels = figure.subplots(1, 2 if noisy else 1, squeeze=False)[0]
    _ratios(panels[0], by_cell)
    if noisy:
        scale = crowd_scale(noisy)
        shades = zip(noisy, crowd_colors(scale, noisy), strict=True)
        marks = [
            (item.eigenvalue, item.noise, color)
            for cell, color in shades
            for item in by_cell[cell]
            if _has_noise(item)
        ]
        eigenvalues, noises, colors = zip(*marks, strict=True)
        draw_points(panels[1], eigenvalues, noises, colors=np.array(colors))
        _finish_noise(panels[1], eigenvalues)
        panels[0].plot([], [], color=GREY, linewidth=1, label="c = λ, if σ² = H")
        crowd_bar(figure, panels[1:], scale)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _ratios(axes: Axes, by_cell: Mapping[Cell, Sequence[Direction]]) -> None:
    for law, label, drawn_as in _LAWS:
        style = laws()[drawn_as]
        kept = [
            (cell, item, ratio)
            for cell in by_ratio(by_cell) for item in by_cell[cell]
            if item.scaled_rate > 0 and (ratio := item.log_ratio(law)) is not None
        ]  # fmt: skip
        if not kept:
            continue
        ratios = [ratio for *_, ratio in kept]
        values = np.exp([ratio.value for ratio in ratios])
        lows = np.exp([ratio.value if ratio.low is None else ratio.low for ratio in ratios])
        highs = np.exp([ratio.value if ratio.high is None else ratio.high for ratio in ratios])
        bars = axes.errorbar(
            [item.scaled_rate for _, item, _ in kept], values, yerr=[values - lows, highs - values],
            fmt=style.marker, color=style.color, markersize=3, elinewidth=0.4, label=label,
        )  # fmt: skip
        titles = [
            cell_title(cell, f"direction {item.index}, {label} {plain(value, 3)} [{plain(low, 3)}, {plain(high, 3)}]")
            for (cell, item, _), value, low, high in zip(kept, values, lows, highs, strict=True)
        ]  # fmt: skip
        if is_crowd(by_cell):
            for artist in bars.get_children():
                as_image(artist)
        else:
            set_titles(bars.lines[0], titles)
    axes.axhline(1.0, color=GREY, linewidth=1, zorder=0, label="1: the law is right, ± 10 %")
    axes.axhspan(*BAND, color=GREY, alpha=0.2, linewidth=0)
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_xlabel("ηλ")
    axes.set_ylabel("variance: measured / predicted")


def _noise(
    axes: Axes, by_cell: Mapping[Cell, Sequence[Direction]], styles: Mapping[Cell, CellStyle]
) -> None:
    eigenvalues: list[float] = []
    for cell, style in styles.items():
        items = [item for item in by_cell[cell] if _has_noise(item)]
        eigenvalues += [item.eigenvalue for item in items]
        (marks,) = axes.plot(
            [item.eigenvalue for item in items], [item.noise for item in items], style.marker,
            markersize=3.5, color=style.color, label=style.label,
        )  # fmt: skip
        titles = [
            cell_title(cell, f"direction {item.index}, λ {plain(item.eigenvalue, 3)}, c {plain(item.noise, 3)}")
            for item in items
        ]  # fmt: skip
        set_titles(marks, titles)
    _finish_noise(axes, eigenvalues)


def _finish_noise(axes: Axes, eigenvalues: Sequence[float]) -> None:
    """Draw the line c = λ, and label both axes."""
    ends = np.array([min(eigenvalues) / 1.3, max(eigenvalues) * 1.3])
    axes.plot(ends, ends, color=GREY, linewidth=1, zorder=0)
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_xlabel("λ, eigenvalue of H (loss/parameter²)")
    axes.set_ylabel("c = uᵀσ²u, noise along it\n(loss²/parameter²)")


def _has_noise(item: Direction) -> bool:
    """Whether both of its coordinates are positive, as logarithmic axes need."""
    return item.noise > 0 and item.eigenvalue > 0
