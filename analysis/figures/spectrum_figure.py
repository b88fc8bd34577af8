"""Density of states and noise-weighted spectrum of cells, as small multiples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.figure_style import WIDTH_INCHES, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.findings.measured import STABILITY_LIMIT
from analysis.findings.spectral_density import SpectralDensity
from analysis.laws.palette import CURVATURE, GREY, NOISE
from analysis.records.cell import Cell

MOST_PANELS = 9
DECADES = 7
"""Shown below the highest density: beyond, a curve is the tail of the broadening."""

_COLUMNS = 3
_KINDS = (
    ("hessian", CURVATURE, "-", "share of directions (density of states of H)"),
    ("noise", NOISE, "--", "share of tr σ² (noise-weighted)"),
)


def chosen_densities(densities: Sequence[SpectralDensity]) -> list[SpectralDensity]:
    """Choose at most nine cells, evenly in the order of BS/LR, first and last included."""
    ordered = sorted(densities, key=lambda d: (d.cell.batch_size_over_learning_rate, d.cell))
    if len(ordered) <= MOST_PANELS:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(place * last / (MOST_PANELS - 1))] for place in range(MOST_PANELS)]


def spectrum_figure(
    densities: Sequence[SpectralDensity],
    final_rates: Mapping[Cell, float],
    momentum: float,
    marks: Mapping[Cell, str],
) -> Figure | None:
    """Draw both spectra of each cell over λ, and where λ = 2(1+μ)/η at the final rate if within."""
    shown = chosen_densities(densities)
    if not shown:
        return None
    num_columns = 2 if len(shown) == 4 else min(_COLUMNS, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    width = WIDTH_INCHES if num_columns > 1 else WIDTH_INCHES * 0.75
    figure = Figure(figsize=(width, 0.8 + 2.1 * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, density in zip(grid.flat, shown, strict=False):
        _panel(axes, density, STABILITY_LIMIT * (1 + momentum) / final_rates[density.cell])
        cell = density.cell
        title = f"BS {cell.batch_size}, LR {cell.learning_rate:g}{marks.get(cell, '')}"
        panel_title(axes, title, width / num_columns - 0.5)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("density over λ\n(parameter²/loss)")
    for place, axes in enumerate(grid.flat):
        if len(shown) - num_columns <= place < len(shown):
            axes.set_xlabel("λ (loss/parameter²)")
    figure.legend(*_legend(list(grid.flat[: len(shown)])), loc="outside upper center", ncols=3)
    return figure


def _panel(axes: Axes, density: SpectralDensity, limit: float) -> None:
    highest = max(float(curve.max()) for curve in density.by_kind.values())
    for kind, color, dashes, label in _KINDS:
        if kind in density.by_kind:
            curve = density.by_kind[kind]
            (drawn,) = axes.plot(
                density.eigenvalues, curve, color=color, linestyle=dashes, label=label
            )
            set_titles(drawn, [cell_title(density.cell, label)])
    axes.set_ylim(highest * 10.0**-DECADES, highest * 3)
    set_log(axes.yaxis)
    axes.minorticks_off()
    if limit <= density.eigenvalues[-1]:
        axes.axvline(limit, color=GREY, linestyle=":", label="2(1+μ)/η, final η")


def _legend(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    found = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    return list(found.values()), list(found)
