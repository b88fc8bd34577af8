"""Figures of what was measured at the minima: maps over the grid, and spectra."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.figure_data import maps_data, spectra_data
from analysis.figures.heat_maps import heat_maps
from analysis.figures.spectrum_figure import (
    DECADES,
    MOST_PANELS,
    spectra_sentence,
    spectrum_figure,
)
from analysis.figures.style.cell_styles import cell_styles
from analysis.figures.style.crowd import is_crowd
from analysis.figures.sweep_figures import FigureRecipe
from analysis.findings.measured import MeasuredCells, measured_cells
from analysis.findings.spectral_density import (
    WIDTH_SHARE,
    SpectralDensity,
    spectral_densities,
)
from analysis.query.figure_queries import maps_query, spectra_query
from analysis.records.load import SweepData
from workers.contract.plan_document import PlanDocument

_MAPS = (
    "Means over seeds, in the square of batch size and learning rate; colours run from dark (low) to "
    "light (high), of traces, ratio and step size on a logarithmic scale."
)
_SPECTRA = (
    "Every node of the Lanczos quadrature is drawn as a Gaussian of standard deviation "
    f"{100 * WIDTH_SHARE:g} % of the range of nodes, weighted as it counts; mean over start vectors and "
    f"seeds, each curve of area 1, {DECADES} decades shown."
)


@dataclass(frozen=True)
class MeasuredFindings:
    """What the figures here are drawn of.

    Attributes:
        cells: By cell.
        densities: Of the cells with spectra.
    """

    cells: MeasuredCells
    densities: list[SpectralDensity]


def measured_findings(data: SweepData, cell_measurements: pd.DataFrame) -> MeasuredFindings:
    """Find what the figures here are drawn of, from a sweep's records and its view `cell_measurements`."""
    return MeasuredFindings(measured_cells(data, cell_measurements), spectral_densities(data))


def _maps_caption(found: MeasuredFindings) -> str:
    states = found.cells.states.values()
    sizes = {cell.batch_size for cell in found.cells.states}
    rates = {cell.learning_rate for cell in found.cells.states}
    has_gaps = len(found.cells.states) < len(sizes) * len(rates)
    parts = (
        _MAPS,
        "Hatched: a seed diverged; the mean is over the others." if any(s.num_diverged for s in states) else "",
        "missing: planned and not measured." if any(s.num_missing for s in states) else "",
        "×: not planned." if has_gaps else "",
    )  # fmt: skip
    return " ".join(part for part in parts if part)


def _spectrum(found: MeasuredFindings) -> Figure | None:
    states = found.cells.states
    return spectrum_figure(
        found.densities,
        {cell: state.final_learning_rate for cell, state in states.items()},
        found.cells.momentum,
        {cell: "†" if state.num_diverged else "" for cell, state in states.items()},
        {} if is_crowd(states) else cell_styles(states),
    )


def _spectra_query(plan: PlanDocument) -> str:
    return spectra_query(plan, MOST_PANELS)


def _spectrum_caption(found: MeasuredFindings) -> str:
    shown = {density.cell for density in found.densities}
    left = len(shown) - MOST_PANELS
    diverged = any(
        state.num_diverged for cell, state in found.cells.states.items() if cell in shown
    )
    parts = (
        spectra_sentence(found.densities),
        _SPECTRA,
        f"{MOST_PANELS} of {len(shown)} cells, chosen evenly in the order of BS/LR; the others are in view "
        "spectra." if left > 0 else "",
        "† a seed diverged and is left out." if diverged else "",
    )  # fmt: skip
    return " ".join(part for part in parts if part)


MEASURED_FIGURES: dict[str, FigureRecipe[[MeasuredFindings]]] = {
    "heat_maps": FigureRecipe(
        "The grid as maps",
        lambda found: heat_maps(found.cells),
        _maps_caption,
        lambda found: maps_data(found.cells),
        maps_query,
    ),
    "spectra": FigureRecipe(
        "Spectra of curvature and noise",
        _spectrum,
        _spectrum_caption,
        lambda found: spectra_data(found.densities),
        _spectra_query,
    ),
}
"""By name."""
