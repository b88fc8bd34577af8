"""Figures of the two traces: by cell, by layer, and their ratio (the paper's Figure 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.cell_styles import (
    MOST_TOGETHER,
    CellPanel,
    CellStyle,
    by_ratio,
    cell_panels,
    legend_beside,
)
from analysis.figures.figure_style import WIDE_INCHES, WIDTH_INCHES, axis_label, set_log
from analysis.figures.hover import cell_title, set_titles, value_title
from analysis.findings.table1 import Table1, Table1Row
from analysis.laws.palette import CURVATURE, GREY, NOISE
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.cell_values import layer_means
from analysis.records.load import SweepData
from analysis.records.paper_table1 import NUM_TRAIN
from analysis.text.number_text import plain
from workers.contract.quantities import GLOSSARY

_MOST_TICKS = 24
_MARGIN = 1.1
"""Of the verdicts: a law holds within 10 %."""

_RATIO = "tr σ² / tr H"
_AGAINST: tuple[tuple[str, Callable[[Cell], float]], ...] = (
    ("m/η = BS/LR, initial η", lambda cell: cell.batch_size_over_learning_rate),
    ("initial η (LR)", lambda cell: cell.learning_rate),
    ("m (BS), examples", lambda cell: cell.batch_size),
)
_PAPER, _LINE, _BAND = "the paper's Table 1", "1: both laws say the same", "within 10 % of 1"
_LINES = (_PAPER, _LINE, _BAND)
"""What is labelled beside the cells."""

_TRACES = (
    ("gradient_noise_trace", NOISE, "o", -0.1),
    ("hessian_trace", CURVATURE, "s", 0.1),
)
"""Quantity, colour, marker, and how far it stands beside its cell's place."""

_KINDS = (
    ("batch normalisation", "D", ("norm", "bn")),
    ("convolution", "o", ("conv", "projection")),
    ("dense", "s", ("dense", "hidden", "outputs", "linear", "logits")),
    ("other", "X", ("",)),
)
"""Of layers: what a kind is called, its marker, and what names of such layers hold."""


def ratio_figure(table: Table1) -> Figure:
    """Draw tr σ²/tr H against BS/LR, LR and BS, as the paper's Figure 4; errors paired by seed.

    At the line both laws say the same; within the band their predictions differ by less than 10 %.
    Of many cells small multiples below show, panel by panel, which is which.
    """
    rows = {row.cell: row for row in table.rows}
    cells = cell_panels(rows)
    multiples = [] if len(cells) == 1 else cells
    styles = {cell: style for panel in cells for cell, style in panel.styles.items()}
    num_rows = 1 + -(-len(multiples) // len(_AGAINST))
    size = (WIDE_INCHES, 2.4 * num_rows) if multiples else (WIDTH_INCHES, 3.4 + 0.16 * -(-len(rows) // 3))  # fmt: skip
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(num_rows, len(_AGAINST), sharey=True)
    panels = np.ravel(grid)
    for axes, (label, abscissa) in zip(panels, _AGAINST, strict=False):
        _ratios(axes, [(rows[cell], styles[cell]) for cell in by_ratio(rows)], label, abscissa)
    for axes, panel in zip(panels[len(_AGAINST) :], multiples, strict=False):
        has_one_size = len({cell.batch_size for cell in panel.styles}) == 1
        drawn = [(rows[cell], style) for cell, style in panel.styles.items()]
        _ratios(axes, drawn, *_AGAINST[1 if has_one_size else 2])
        axes.set_title(panel.title, fontsize=8.5)
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
    """Draw both traces per example in every cell, cells in the order of BS/LR."""
    rows = {row.cell: row for row in table.rows}
    cells = by_ratio(rows)
    is_crowded = len(cells) > MOST_TOGETHER
    size = (WIDE_INCHES, 4.6) if is_crowded else (WIDTH_INCHES, 3.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for place, cell in enumerate(cells):
        _both_traces(axes, place, rows[cell])
    for quantity, color, marker, _ in _TRACES:
        axes.plot([], [], marker, color=color, label=axis_label(quantity))
    set_log(axes.yaxis)
    if is_crowded:
        axes.set_xticks(range(len(cells)), [_one_line(cell) for cell in cells], rotation=90, fontsize=7)  # fmt: skip
        axes.set_xlabel("cells in the order of BS/LR")
    else:
        axes.set_xticks(range(len(cells)), [_three_lines(cell) for cell in cells])
        axes.set_xlabel("BS/LR, below it BS and LR")
    axes.set_xlim(-0.6, len(cells) - 0.4)
    axes.set_ylabel("trace per example")
    if any(row.paper for row in table.rows):
        _label_paper(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def layers_figure(data: SweepData) -> Figure | None:
    """Draw both traces layer by layer: colours by cell, marks by the kind of layer; None without layers.

    Layers are of different kinds, so no line joins them.
    """
    found = {quantity: layer_means(data, quantity) for quantity, *_ in _TRACES}
    means = {quantity: by_cell for quantity, by_cell in found.items() if by_cell}
    layers = list(dict.fromkeys(chain.from_iterable(m for by in means.values() for m in by.values())))  # fmt: skip
    if not layers:
        return None
    rows = cell_panels({cell for by_cell in means.values() for cell in by_cell}, by_color=True)
    figure = Figure(figsize=(WIDE_INCHES, 2.2 * len(rows) + 1.6), layout="constrained")
    grid = figure.subplots(len(rows), len(means), sharex=True, sharey="col", squeeze=False)
    for panels, row in zip(grid, rows, strict=True):
        for axes, quantity in zip(panels, means, strict=True):
            _by_layer(axes, row, means[quantity], layers, quantity)
        legend_beside(panels[-1])
    step = -(-len(layers) // _MOST_TICKS)
    places = range(0, len(layers), step)
    for axes in grid[-1]:
        axes.set_xticks(places, [layers[place] for place in places], rotation=90, fontsize=7)
        axes.set_xlabel("layer, from input to output")
    kinds = dict.fromkeys(layer_kind(layer) for layer in layers)
    handles = [grid[0, 0].plot([], [], marker, color=GREY, label=kind)[0] for kind, marker in kinds]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def layer_kind(layer: str) -> tuple[str, str]:
    """Return what kind of layer one is by its name, and the marker of the kind."""
    name = layer.lower()
    return next((kind, mark) for kind, mark, words in _KINDS if any(word in name for word in words))


def _ratios(
    axes: Axes,
    rows: Sequence[tuple[Table1Row, CellStyle]],
    label: str,
    abscissa: Callable[[Cell], float],
) -> None:
    for row, style in rows:
        place, ratio = abscissa(row.cell), row.magnitude_difference
        if row.paper:
            _hollow(axes, place, row.paper.magnitude_difference, row.cell, _RATIO)
        if math.isfinite(ratio.value):
            _mark(axes, place, ratio, row.cell, _RATIO, marker=style.marker, color=style.color, label=style.label)  # fmt: skip
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.axhspan(1 / _MARGIN, _MARGIN, color=GREY, alpha=0.2, linewidth=0)
    axes.margins(x=0.15)
    set_log(axes.xaxis)
    _tick_values(axes, sorted({abscissa(row.cell) for row, _ in rows}))
    axes.set_xlabel(label)


def _by_layer(
    axes: Axes,
    panel: CellPanel,
    means: Mapping[Cell, Mapping[str, float]],
    layers: Sequence[str],
    quantity: str,
) -> None:
    """Draw the layers of every cell, one kind after another."""
    symbol = GLOSSARY[quantity].symbol
    for cell, style in panel.styles.items():
        found = means.get(cell, {})
        if found:
            axes.plot([], [], color=style.color, linewidth=4, label=style.label)
        for kind in dict.fromkeys(map(layer_kind, layers)):
            places = [p for p, layer in enumerate(layers) if layer in found and layer_kind(layer) == kind]  # fmt: skip
            if not places:
                continue
            values = [found[layers[place]] for place in places]
            (marks,) = axes.plot(places, values, kind[1], markersize=4, color=style.color)
            titles = [
                cell_title(cell, f"{layers[place]}, {symbol} {plain(value)}")
                for place, value in zip(places, values, strict=True)
            ]
            set_titles(marks, titles)
    if axes.dataLim.y0 > 0:
        set_log(axes.yaxis)
    axes.set_ylabel(axis_label(quantity))
    axes.set_title(panel.title, fontsize=8.5)
    axes.set_visible(bool(set(means) & set(panel.styles)))


def _both_traces(axes: Axes, place: int, row: Table1Row) -> None:
    for quantity, color, marker, shift in _TRACES:
        symbol, estimate = GLOSSARY[quantity].symbol, row.traces[quantity]
        if math.isfinite(estimate.value):
            _mark(axes, place + shift, estimate, row.cell, symbol, marker=marker, color=color)
        if row.paper:
            printed = getattr(row.paper, quantity) / NUM_TRAIN
            _hollow(axes, place + shift, printed, row.cell, symbol)


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


def _tick_values(axes: Axes, values: Sequence[float]) -> None:
    """Put ticks at the values themselves where they are few and far enough apart not to overlap."""
    span = math.log(values[-1] / values[0])
    gaps = [math.log(b / a) for a, b in pairwise(values)]
    if len(values) <= 4 and all(gap >= 0.15 * span for gap in gaps):
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()


def _one_line(cell: Cell) -> str:
    return f"BS {cell.batch_size}, LR {cell.learning_rate:g}"


def _three_lines(cell: Cell) -> str:
    ratio = cell.batch_size_over_learning_rate
    return f"{ratio:g}\n{cell.batch_size}\n{cell.learning_rate:g}"
