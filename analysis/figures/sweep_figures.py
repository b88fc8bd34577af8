"""All figures of a sweep, each with a name, a caption, and files in SVG, PDF and CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, ParamSpec

import pandas as pd
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.figures.figure_data import csv_text, layers_data, traces_data
from analysis.figures.layers_figure import layers_figure
from analysis.figures.learning_curves import curve_means, learning_curves
from analysis.figures.style.cell_styles import CELL_COLORS_SAID
from analysis.figures.style.crowd import CROWD_SAID, crowd_said, is_crowd
from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.style.hover import with_titles
from analysis.figures.style.slim_svg import slim_svg
from analysis.figures.trace_figures import ratio_figure, traces_figure
from analysis.findings.table1 import Table1
from analysis.query.figure_queries import curves_query, layers_query, traces_query
from analysis.records.cell import Cell
from analysis.records.load import SweepData
from workers.contract.plan_document import PlanDocument

IMAGE_DPI = 200
"""Of what many cells are drawn as; all else is lines and text."""

Findings = ParamSpec("Findings")
"""The findings about a sweep that are drawn."""


@dataclass(frozen=True)
class FigureRecipe(Generic[Findings]):
    """The recipe of a figure.

    Attributes:
        title: One line.
        build: Returns the Matplotlib figure; None where there is nothing to show.
        caption: Returns what is shown and how.
        data: Returns the numbers shown, a row a mark; asked only where there is a figure.
        query: Returns the SQL that gives these numbers from the views of a store.
    """

    title: str
    build: Callable[Findings, Figure | None]
    caption: Callable[Findings, str]
    data: Callable[Findings, pd.DataFrame]
    query: Callable[[PlanDocument], str]


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as it is written.

    Attributes:
        name: Its file name, without a suffix.
        title: One line.
        caption: What is shown and how.
        svg: The whole SVG document.
        pdf: The whole PDF document.
        csv: The numbers shown.
        query: Returns the SQL that gives them, of the sweep's plan.
    """

    name: str
    title: str
    caption: str
    svg: str
    pdf: bytes
    csv: str
    query: Callable[[PlanDocument], str]


def build_all(
    recipes: Mapping[str, FigureRecipe[Findings]], *found: Findings.args, **named: Findings.kwargs
) -> dict[str, Figure]:
    """Build the figure of every recipe that has something to show, by name."""
    with drawing_settings():
        figures = {name: recipe.build(*found, **named) for name, recipe in recipes.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def drawings(
    recipes: Mapping[str, FigureRecipe[Findings]], *found: Findings.args, **named: Findings.kwargs
) -> list[Callable[[], list[DrawnFigure]]]:
    """Return the drawing of each recipe, which gives its figure where it has something to show."""
    return [partial(draw_all, {name: recipe}, *found, **named) for name, recipe in recipes.items()]


def draw_all(
    recipes: Mapping[str, FigureRecipe[Findings]], *found: Findings.args, **named: Findings.kwargs
) -> list[DrawnFigure]:
    """Build and write the figure of every recipe that has something to show."""
    figures = build_all(recipes, *found, **named)
    return [
        DrawnFigure(
            name, recipes[name].title, recipes[name].caption(*found, **named),
            *_written(figure, recipes[name].title),
            csv_text(recipes[name].data(*found, **named)), recipes[name].query,
        )
        for name, figure in figures.items()
    ]  # fmt: skip


def write_figures(figures: list[DrawnFigure], folder: Path) -> list[Path]:
    """Write every figure as SVG and PDF, and its numbers as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        svg, pdf, csv = (folder / f"{figure.name}.{ending}" for ending in ("svg", "pdf", "csv"))
        svg.write_text(figure.svg, encoding="utf-8")
        pdf.write_bytes(figure.pdf)
        csv.write_text(figure.csv, encoding="utf-8")
        paths += [svg, pdf, csv]
    return paths


def _written(figure: Figure, title: str) -> tuple[str, bytes]:
    """Write a figure as SVG and PDF, without dates, so that equal data gives equal bytes.

    By the canvases themselves, as `savefig` draws everything a second time for the layout, which is found
    once here and kept.
    """
    svg, pdf = io.BytesIO(), io.BytesIO()
    figure.set_dpi(IMAGE_DPI)
    with drawing_settings():
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Title": title})  # type: ignore[no-untyped-call]  # of Matplotlib
        figure.set_layout_engine("none")
        FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None, "Title": title})  # type: ignore[no-untyped-call]  # of Matplotlib
    return slim_svg(with_titles(svg.getvalue().decode())), pdf.getvalue()


def _curves(data: SweepData, _: Table1) -> Figure | None:
    return None if data.epochs.empty else learning_curves(data)


def _traces(_: SweepData, table: Table1) -> Figure | None:
    return traces_figure(table) if _has_traces(table) else None


def _ratio(_: SweepData, table: Table1) -> Figure | None:
    return ratio_figure(table) if _has_traces(table) else None


def _layers(data: SweepData, _: Table1) -> Figure | None:
    return layers_figure(data)


def _colors_said(cells: Sequence[Cell]) -> str:
    """Say what colours stand for, as few or as many cells are drawn."""
    return f"Colours stand for BS/LR. {CROWD_SAID}" if is_crowd(cells) else CELL_COLORS_SAID


def _diverged_said(table: Table1) -> str:
    """Return the sentence of a caption, with a space before it; nothing where no seed diverged."""
    any_diverged = any(row.state.num_diverged for row in table.rows)
    return " †: a seed diverged and is left out." if any_diverged else ""


def _has_traces(table: Table1) -> bool:
    return any(math.isfinite(row.gradient_noise_trace.value) for row in table.rows)


SWEEP_FIGURES: dict[str, FigureRecipe[[SweepData, Table1]]] = {
    "learning_curves": FigureRecipe(
        "Learning curves",
        _curves,
        lambda data, _: (
            f"Mean over seeds{'' if is_crowd(data.cells) else ' with a band of ± one standard error'}. {_colors_said(data.cells)}. Compare cells of "
            "equal, close and far BS/LR, as Figures 2 and 3 of the paper do. Training loss and accuracy are those seen by SGD during the epoch. "
            "Dotted lines: the learning rate falls. Diverged seeds are left out."
        ),
        lambda data, _: curve_means(data),
        curves_query,
    ),
    "traces": FigureRecipe(
        "Traces of every cell",
        _traces,
        lambda data, table: (
            "Both traces per example, data objective, frozen batch normalisation, with one "
            f"standard error over seeds, which may be smaller than the marks.{_diverged_said(table)}"
            f"{crowd_said(data.cells)}"
        ),
        lambda _, table: traces_data(table),
        traces_query,
    ),
    "trace_ratio": FigureRecipe(
        "Ratio of the traces, tr σ²/tr H",
        _ratio,
        lambda data, _: (
            "Ratio of the seed means with a paired-seed standard error, against BS/LR, LR and BS, as in Figure 4 of "
            f"the paper, which calls it the magnitude difference. On the grey line noise and curvature are one, ± 10 % in the band. {_colors_said(data.cells)}."
        ),
        lambda _, table: traces_data(table),
        traces_query,
    ),
    "layers": FigureRecipe(
        "Traces by layer",
        _layers,
        lambda data, _: (
            "Mean over seeds of each layer's share of both traces. Colours tell cells apart, as in the "
            f"other figures; marks, the kinds of layer by their names.{crowd_said(data.cells)}"
        ),
        lambda data, _: layers_data(data),
        layers_query,
    ),
}
"""By name; `trace_ratio` is the paper's Figure 4."""
