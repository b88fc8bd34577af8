"""Figures of the two traces by cell, and of their ratio (the paper's Figure 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.cell_styles import (
    MOST_TOGETHER,
    CellStyle,
    cell_panels,
    legend_beside,
)
from analysis.figures.style.crowd import (
    crowd_bar,
    crowd_colors,
    crowd_scale,
    draw_points,
    is_crowd,
)
from analysis.figures.style.figure_style import (
    WIDE_INCHES,
    WIDTH_INCHES,
    axis_label,
    panel_title,
    set_log,
    ticks_at_values,
)
from analysis.figures.style.hover import cell_title, set_titles, value_title
from analysis.findings.table1 import Table1, Table1Row
from analysis.laws.palette import CURVATURE, GREY, NOISE
from analysis.mathematics.uncertain import Uncertain
from analysis.mathematics.verdict import BAND
from analysis.records.cell import Cell, by_ratio, ratio_texts
from analysis.records.paper_table1 import NUM_TRAIN
from analysis.text.number_text import plain
from workers.contract.quantities import GLOSSARY

_RATIO = "tr σ² / tr H"


@dataclass(frozen=True)
class _Abscissa:
    """What cells stand against: its label, its value in a cell, and the text of that in each cell."""

    label: str
    value: Callable[[Cell], float]
    texts: Callable[[Iterable[Cell]], Mapping[Cell, str]]


_AGAINST = (
    _Abscissa("m/η = BS/LR, initial η", lambda cell: cell.batch_size_over_learning_rate, ratio_texts),
    _Abscissa(
        "initial η (LR)", lambda cell: cell.learning_rate,
        lambda cells: {cell: f"{cell.learning_rate:g}" for cell in cells},
    ),
    _Abscissa(
        "m (BS), examples", lambda cell: cell.batch_size,
        lambda cells: {cell: str(cell.batch_size) for cell in cells},
    ),
)  # fmt: skip
_PAPER, _LINE, _BAND = "the paper's Table 1", "1: both laws say the same", "within 10 % of 1"
_LINES = (_PAPER, _LINE, _BAND)
"""What is labelled beside the cells."""

_MOST_CHARACTERS = 80
"""Of the names of cells beside each other below an axis."""

_TRACES = (
    ("gradient_noise_trace", NOISE, "o", -0.1),
    ("hessian_trace", CURVATURE, "s", 0.1),
)
"""Quantity, colour, marker, and how far it stands beside its cell's place."""


def ratio_figure(table: Table1) -> Figure:
    """Draw tr σ²/tr H against BS/LR, LR and BS, as the paper's Figure 4; errors paired by seed.

    At the line both laws say the same; within the band their predictions differ by less than 10 %.
    Of many cells small multiples below show, panel by panel, which is which.
    """
    rows = {row.cell: row for row in table.rows}
    if is_crowd(rows):
        return _crowd_of_ratios(rows)
    cells = cell_panels(rows)
    multiples = [] if len(cells) == 1 else cells
    styles = {cell: style for panel in cells for cell, style in panel.styles.items()}
    num_rows = 1 + -(-len(multiples) // len(_AGAINST))
    size = (WIDE_INCHES, 2.4 * num_rows) if multiples else (WIDTH_INCHES, 3.4 + 0.16 * -(-len(rows) // 3))  # fmt: skip
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(num_rows, len(_AGAINST), sharey=True)
    panels = np.ravel(grid)
    for axes, abscissa in zip(panels, _AGAINST, strict=False):
        _ratios(axes, [(rows[cell], styles[cell]) for cell in by_ratio(rows)], abscissa)
    for axes, panel in zip(panels[len(_AGAINST) :], multiples, strict=False):
        has_one_size = len({cell.batch_size for cell in panel.styles}) == 1
        drawn = [(rows[cell], style) for cell, style in panel.styles.items()]
        _ratios(axes, drawn, _AGAINST[1 if has_one_size else 2])
        panel_title(axes, panel.title, WIDE_INCHES / len(_AGAINST) - 0.7)
        legend_beside(axes)
    for axes in panels[len(_AGAINST) + len(multiples) :]:
        axes.remove()
    set_log(panels[0].yaxis)
    for axes in panels[:: len(_AGAINST)]:
        axes.set_ylabel(_RATIO)
    _label_lines(panels[0], has_paper=any(row.paper for row in table.rows))
    handles, labels = panels[0].get_legend_handles_labels()
    shown = [place for place, label in enumerate(labels) if not multiples or label in _LINES]
    figure.legend(
        [handles[place] for place in shown], [labels[place] for place in shown],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return figure


def traces_figure(table: Table1) -> Figure:
    """Draw both traces per example in every cell, cells in the order of BS/LR; † where a seed diverged."""
    rows = {row.cell: row for row in table.rows}
    if is_crowd(rows):
        return _crowd_of_traces(rows)
    cells = by_ratio(rows)
    texts = ratio_texts(cells)
    widest = max(
        len(line) for cell in cells for line in _three_lines(rows[cell], texts[cell]).split("\n")
    )
    is_crowded = len(cells) > MOST_TOGETHER or len(cells) * (widest + 1) > _MOST_CHARACTERS
    size = (WIDE_INCHES, 4.6) if is_crowded else (WIDTH_INCHES, 3.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for place, cell in enumerate(cells):
        _both_traces(axes, place, rows[cell])
    for quantity, color, marker, _ in _TRACES:
        axes.plot([], [], marker, color=color, label=axis_label(quantity))
    set_log(axes.yaxis)
    if is_crowded:
        axes.set_xticks(range(len(cells)), [_one_line(rows[cell]) for cell in cells], rotation=90, fontsize=7)  # fmt: skip
        axes.set_xlabel("cells in the order of BS/LR")
    else:
        axes.set_xticks(
            range(len(cells)), [_three_lines(rows[cell], texts[cell]) for cell in cells]
        )
        axes.set_xlabel("BS/LR, below it BS and LR")
    axes.set_xlim(-0.6, len(cells) - 0.4)
    axes.set_ylabel("trace per example")
    if any(row.paper for row in table.rows):
        _label_paper(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _crowd_of_ratios(rows: Mapping[Cell, Table1Row]) -> Figure:
    """Draw the ratios of many cells against BS/LR, LR and BS, a point for each."""
    figure = Figure(figsize=(WIDE_INCHES, 4.2), layout="constrained")
    panels = figure.subplots(1, len(_AGAINST), sharey=True)
    scale = crowd_scale(rows)
    cells = [cell for cell, row in rows.items() if math.isfinite(row.magnitude_difference.value)]
    found = [rows[cell].magnitude_difference for cell in cells]
    colors = crowd_colors(scale, cells)
    for axes, abscissa in zip(panels, _AGAINST, strict=True):
        values, errors = zip(*((each.value, each.stderr) for each in found), strict=True)
        draw_points(axes, list(map(abscissa.value, cells)), values, errors, colors=colors)
        for row in rows.values():
            if row.paper:
                place = abscissa.value(row.cell)
                _hollow(axes, place, row.paper.magnitude_difference, row.cell, _RATIO)
        _finish_ratios(axes, abscissa.label)
    set_log(panels[0].yaxis)
    panels[0].set_ylabel(_RATIO)
    _label_lines(panels[0], has_paper=any(row.paper for row in rows.values()))
    crowd_bar(figure, list(panels), scale)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _crowd_of_traces(rows: Mapping[Cell, Table1Row]) -> Figure:
    """Draw both traces of many cells against BS/LR, a point for each."""
    figure = Figure(figsize=(WIDE_INCHES, 4.6), layout="constrained")
    axes = figure.subplots()
    for quantity, color, marker, _ in _TRACES:
        symbol = GLOSSARY[quantity].symbol
        found = {cell: row.traces[quantity] for cell, row in rows.items()}
        known = {cell: each for cell, each in found.items() if math.isfinite(each.value)}
        draw_points(
            axes, [cell.batch_size_over_learning_rate for cell in known],
            [each.value for each in known.values()], [each.stderr for each in known.values()],
            colors=color, marker=marker,
        )  # fmt: skip
        axes.plot([], [], marker, color=color, label=axis_label(quantity))
        for cell, row in rows.items():
            if row.paper:
                printed = getattr(row.paper, quantity) / NUM_TRAIN
                _hollow(axes, cell.batch_size_over_learning_rate, printed, cell, symbol)
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_xlabel(_AGAINST[0].label)
    axes.set_ylabel("trace per example")
    if any(row.paper for row in rows.values()):
        _label_paper(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _ratios(
    axes: Axes,
    rows: Sequence[tuple[Table1Row, CellStyle]],
    abscissa: _Abscissa,
) -> None:
    for row, style in rows:
        place, ratio = abscissa.value(row.cell), row.magnitude_difference
        if row.paper:
            _hollow(axes, place, row.paper.magnitude_difference, row.cell, _RATIO)
        if math.isfinite(ratio.value):
            _mark(axes, place, ratio, row.cell, _RATIO, marker=style.marker, color=style.color, label=style.label)  # fmt: skip
    _finish_ratios(axes, abscissa.label)
    texts = abscissa.texts(row.cell for row, _ in rows)
    places = {abscissa.value(cell): text for cell, text in texts.items()}
    low, high = min(places), max(places)
    margin = max((high / low) ** 0.15, 1.2)
    axes.set_xlim(low / margin, high * margin)  # of every cell, though it has no value yet
    ticks_at_values(axes, places)


def _finish_ratios(axes: Axes, label: str) -> None:
    """Draw the line at 1 and the band about it, and label the abscissa."""
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.axhspan(*BAND, color=GREY, alpha=0.2, linewidth=0)
    set_log(axes.xaxis)
    axes.set_xlabel(label)


def _both_traces(axes: Axes, place: int, row: Table1Row) -> None:
    for quantity, color, marker, shift in _TRACES:
        symbol, estimate = GLOSSARY[quantity].symbol, row.traces[quantity]
        if math.isfinite(estimate.value):
            _mark(axes, place + shift, estimate, row.cell, symbol, marker=marker, color=color)
        if row.paper:
            printed = getattr(row.paper, quantity) / NUM_TRAIN
            _hollow(axes, place + shift, printed, row.cell, symbol)
    if row.state.num_diverged and not row.num_measured:
        axes.text(
            place, 0.5, "diverged", transform=axes.get_xaxis_transform(), rotation=90,
            ha="center", va="center", fontsize=8,
        )  # fmt: skip


def _mark(
    axes: Axes,
    place: float,
    estimate: Uncertain,
    cell: Cell,
    symbol: str,
    *,
    marker: str,
    color: str,
    label: str | None = None,
) -> None:
    """Draw an estimate with its error, and its title."""
    error = estimate.stderr if math.isfinite(estimate.stderr) else None
    bars = axes.errorbar(
        place, estimate.value, yerr=error, fmt=marker, color=color, capsize=2, label=label
    )
    set_titles(bars.lines[0], [value_title(cell, symbol, estimate)])


def _hollow(axes: Axes, place: float, value: float, cell: Cell, symbol: str) -> None:
    """Draw a value of the paper's Table 1."""
    (mark,) = axes.plot(place, value, "D", markersize=4, markerfacecolor="none", color=GREY)
    set_titles(mark, [cell_title(cell, f"{symbol} {plain(value)} in the paper's Table 1")])


def _label_paper(axes: Axes) -> None:
    axes.plot([], [], "D", markersize=4, markerfacecolor="none", color=GREY, label=_PAPER)


def _label_lines(axes: Axes, *, has_paper: bool) -> None:
    """Label what is no cell: the line at 1, the band about it, and the paper's values."""
    axes.plot([], [], color=GREY, linewidth=0.8, label=_LINE)
    axes.fill_between([], [], [], color=GREY, alpha=0.2, linewidth=0, label=_BAND)
    if has_paper:
        _label_paper(axes)


def _one_line(row: Table1Row) -> str:
    return f"BS {row.cell.batch_size}, LR {row.cell.learning_rate:g}{_dagger(row)}"


def _three_lines(row: Table1Row, ratio: str) -> str:
    return f"{ratio}\n{row.cell.batch_size}\n{row.cell.learning_rate:g}{_dagger(row)}"


def _dagger(row: Table1Row) -> str:
    return "†" if row.state.num_diverged else ""
