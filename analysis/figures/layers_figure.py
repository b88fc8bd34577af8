"""Both traces layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.cell_styles import CellPanel, cell_panels, legend_beside
from analysis.figures.style.crowd import (
    crowd_bar,
    crowd_colors,
    crowd_scale,
    draw_points,
    is_crowd,
)
from analysis.figures.style.figure_style import WIDE_INCHES, axis_label, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.laws.palette import GREY
from analysis.records.cell import Cell
from analysis.records.cell_values import layer_means
from analysis.records.load import SweepData
from analysis.text.number_text import plain
from workers.contract.quantities import GLOSSARY

LAYER_QUANTITIES = ("gradient_noise_trace", "hessian_trace")

LayerMeans: TypeAlias = Mapping[Cell, Mapping[str, float]]
"""Of one quantity, by cell and layer."""

Panels: TypeAlias = npt.NDArray[np.object_]
"""Axes in rows and columns."""

_MOST_TICKS = 24
_KINDS = (
    ("batch normalisation", "D", ("norm", "bn")),
    ("convolution", "o", ("conv", "projection")),
    ("dense", "s", ("dense", "hidden", "outputs", "linear", "logits")),
    ("other", "X", ("",)),
)
"""Of layers: what a kind is called, its marker, and what names of such layers hold."""


def layers_figure(data: SweepData) -> Figure | None:
    """Draw both traces layer by layer: colours by cell, marks by the kind of layer; None without layers.

    Layers are of different kinds, so no line joins them.
    """
    found = {quantity: layer_means(data, quantity) for quantity in LAYER_QUANTITIES}
    means = {quantity: by_cell for quantity, by_cell in found.items() if by_cell}
    layers = list(dict.fromkeys(chain.from_iterable(m for by in means.values() for m in by.values())))  # fmt: skip
    if not layers:
        return None
    cells = {cell for by_cell in means.values() for cell in by_cell}
    figure, grid = (
        _crowd(cells, means, layers)
        if is_crowd(cells)
        else _apart(cell_panels(data.cells, cells, by_color=True), means, layers)
    )
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


def _apart(
    rows: Sequence[CellPanel], means: Mapping[str, LayerMeans], layers: Sequence[str]
) -> tuple[Figure, Panels]:
    """Draw cells one by one, a row of panels for those that colour tells apart."""
    figure = Figure(figsize=(WIDE_INCHES, 2.2 * len(rows) + 1.6), layout="constrained")
    grid = figure.subplots(len(rows), len(means), sharex=True, sharey="col", squeeze=False)
    for panels, row in zip(grid, rows, strict=True):
        for axes, quantity in zip(panels, means, strict=True):
            _by_layer(axes, row, means[quantity], layers, quantity)
        legend_beside(panels[-1])
    return figure, grid


def _crowd(
    cells: Collection[Cell], means: Mapping[str, LayerMeans], layers: Sequence[str]
) -> tuple[Figure, Panels]:
    """Draw all cells in one panel a quantity, a mark for each layer of each, coloured by BS/LR."""
    figure = Figure(figsize=(WIDE_INCHES, 5.0), layout="constrained")
    grid = figure.subplots(1, len(means), squeeze=False)
    scale = crowd_scale(cells)
    for axes, (quantity, by_cell) in zip(grid[0], means.items(), strict=True):
        colors = dict(zip(by_cell, crowd_colors(scale, by_cell), strict=True))
        for kind in dict.fromkeys(map(layer_kind, layers)):
            marks = [
                (place, found[layer], colors[cell])
                for place, layer in enumerate(layers)
                if layer_kind(layer) == kind
                for cell, found in by_cell.items()
                if layer in found
            ]
            if marks:
                places, values, shades = zip(*marks, strict=True)
                draw_points(axes, places, values, colors=np.array(shades), marker=kind[1])
        _label(axes, quantity)
    crowd_bar(figure, list(grid[0]), scale)
    return figure, grid


def _label(axes: Axes, quantity: str) -> None:
    if axes.dataLim.y0 > 0:
        set_log(axes.yaxis)
    axes.set_ylabel(axis_label(quantity))


def _by_layer(
    axes: Axes,
    panel: CellPanel,
    means: LayerMeans,
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
    _label(axes, quantity)
    panel_title(axes, panel.title, WIDE_INCHES / 2 - 1.5)
    axes.set_visible(bool(set(means) & set(panel.styles)))
