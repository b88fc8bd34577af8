"""Figures of the two traces: by cell, by layer, and their ratio (the paper's Figure 4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.figure_style import WIDTH_INCHES, cell_styles, set_log
from analysis.findings.table1 import Table1, Table1Row
from analysis.laws.palette import BLUE, GREY, VERMILLION
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.cell_values import layer_means
from analysis.records.load import SweepData
from analysis.records.paper_table1 import NUM_TRAIN

_MOST_TICKS = 24
_MARGIN = 1.1
"""Of the verdicts: a law holds within 10 %."""

_AGAINST: tuple[tuple[str, Callable[[Cell], float]], ...] = (
    ("m/η = BS/LR", lambda cell: cell.batch_size_over_learning_rate),
    ("η (LR)", lambda cell: cell.learning_rate),
    ("m (BS)", lambda cell: cell.batch_size),
)


def ratio_figure(table: Table1) -> Figure:
    """Draw tr σ²/tr H against BS/LR, LR and BS, as the paper's Figure 4; errors paired by seed.

    At the line both laws say the same; within the band their predictions differ by less than 10 %.
    """
    height = 3.0 + 0.16 * -(-len(table.rows) // 3)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    styles = cell_styles([row.cell for row in table.rows])
    for axes, (label, abscissa) in zip(panels, _AGAINST, strict=True):
        for row in table.rows:
            place, ratio = abscissa(row.cell), row.magnitude_difference
            if row.paper:
                _hollow(axes, place, row.paper.magnitude_difference)
            style = styles[row.cell]
            axes.errorbar(
                place, ratio.value, yerr=_bar(ratio), fmt=style.marker, color=style.color, capsize=2,
                label=style.label,
            )  # fmt: skip
        axes.axhline(1, color=GREY, linewidth=0.8)
        axes.axhspan(1 / _MARGIN, _MARGIN, color=GREY, alpha=0.2, linewidth=0)
        axes.margins(x=0.15)
        set_log(axes.xaxis)
        _tick_values(axes, {abscissa(row.cell) for row in table.rows})
        axes.set_xlabel(label)
    set_log(panels[0].yaxis)
    panels[0].set_ylabel("tr σ² / tr H")
    panels[0].tick_params(axis="x", rotation=45)
    if any(row.paper for row in table.rows):
        _label_paper(panels[0])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def traces_figure(table: Table1) -> Figure:
    """Draw both traces per example in every cell, cells in the order of BS/LR."""
    figure = Figure(figsize=(WIDTH_INCHES, 3.6), layout="constrained")
    axes = figure.subplots()
    rows = sorted(table.rows, key=lambda row: (row.cell.batch_size_over_learning_rate, row.cell))
    for place, row in enumerate(rows):
        _both_traces(axes, place, row, is_first=place == 0)
    set_log(axes.yaxis)
    axes.set_xticks(range(len(rows)), [_short(row.cell) for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("BS/LR, below it BS and LR")
    axes.set_ylabel("trace per example")
    if any(row.paper for row in rows):
        _label_paper(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def layers_figure(data: SweepData) -> Figure | None:
    """Draw both traces layer by layer, marks by cell; None when no layer was measured.

    Layers are of different kinds, so no line joins them.
    """
    figure = Figure(figsize=(WIDTH_INCHES, 5.8), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    styles = cell_styles(data.cells)
    layers: list[str] = []
    for axes, (quantity, label) in zip(
        panels, (("gradient_noise_trace", "tr σ²"), ("hessian_trace", "tr H")), strict=True
    ):
        for cell, means in layer_means(data, quantity).items():
            layers = layers or list(means)
            style = styles[cell]
            values = [means.get(layer, np.nan) for layer in layers]
            axes.plot(
                values, linestyle="", marker=style.marker, markersize=4, color=style.color,
                label=style.label,
            )  # fmt: skip
        if axes.dataLim.y0 > 0:
            set_log(axes.yaxis)
        axes.set_ylabel(f"{label} of a layer")
    if not layers:
        return None
    step = -(-len(layers) // _MOST_TICKS)
    places = range(0, len(layers), step)
    panels[1].set_xticks(places, [layers[place] for place in places], rotation=90)
    panels[1].set_xlabel("layer, from input to output")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _both_traces(axes: Axes, place: int, row: Table1Row, *, is_first: bool) -> None:
    for shift, color, marker, label, estimate in (
        (-0.1, BLUE, "o", "tr σ²", row.gradient_noise_trace),
        (0.1, VERMILLION, "s", "tr H", row.hessian_trace),
    ):
        axes.errorbar(
            place + shift,
            estimate.value,
            yerr=_bar(estimate),
            fmt=marker,
            color=color,
            capsize=2,
            label=label if is_first else None,
        )
    if row.paper:
        _hollow(axes, place - 0.1, row.paper.gradient_noise_trace / NUM_TRAIN)
        _hollow(axes, place + 0.1, row.paper.hessian_trace / NUM_TRAIN)


def _bar(estimate: Uncertain) -> float | None:
    return estimate.stderr if np.isfinite(estimate.stderr) else None


def _hollow(axes: Axes, place: float, value: float, label: str | None = None) -> None:
    axes.plot(
        place,
        value,
        marker="D",
        markersize=4,
        markerfacecolor="none",
        color=GREY,
        linestyle="",
        label=label,
    )


def _label_paper(axes: Axes) -> None:
    _hollow(axes, np.nan, np.nan, label="the paper's Table 1")


def _tick_values(axes: Axes, values: set[float]) -> None:
    """Put ticks at the values themselves where they are few enough not to overlap."""
    if len(values) <= 4:
        axes.set_xticks(sorted(values), [f"{value:g}" for value in sorted(values)])
        axes.minorticks_off()


def _short(cell: Cell) -> str:
    ratio = cell.batch_size_over_learning_rate
    return f"{ratio:g}\n{cell.batch_size}\n{cell.learning_rate:g}"
