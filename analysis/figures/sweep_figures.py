"""All figures of a sweep, each with a name, a caption, and files in SVG and PDF."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.figure_style import drawing_settings
from analysis.figures.learning_curves import learning_curves
from analysis.figures.trace_figures import layers_figure, ratio_figure, traces_figure
from analysis.findings.table1 import Table1
from analysis.records.load import SweepData

_COLORS = (
    "Blue and sky blue mark values of BS/LR that several cells share, green those within a factor "
    "1.5 of them, vermillion the others"
)


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as it is written.

    Attributes:
        name: Of its files, without an ending.
        title: One line.
        caption: What is shown and how.
        svg: The whole SVG document.
        pdf: The whole PDF document.
    """

    name: str
    title: str
    caption: str
    svg: str
    pdf: bytes


def draw_figures(data: SweepData, table: Table1) -> list[DrawnFigure]:
    """Draw every figure for which there is something measured."""
    with drawing_settings():
        found = [
            _curves(data) if not data.epochs.empty else None,
            *(_traces(table) if any(r.gradient_noise_trace.num_seeds for r in table.rows) else ()),
            _layers(data),
        ]
    return [figure for figure in found if figure is not None]


def write_figures(figures: list[DrawnFigure], folder: Path) -> list[Path]:
    """Write every figure as SVG and PDF."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        svg, pdf = folder / f"{figure.name}.svg", folder / f"{figure.name}.pdf"
        svg.write_text(figure.svg, encoding="utf-8")
        pdf.write_bytes(figure.pdf)
        paths += [svg, pdf]
    return paths


def drawn(name: str, title: str, figure: Figure, caption: str) -> DrawnFigure:
    """Write a figure as SVG and PDF, without dates, so that equal data gives equal bytes."""
    svg, pdf = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Title": title})
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Title": title})
    return DrawnFigure(name, title, caption, svg.getvalue().decode(), pdf.getvalue())


def _curves(data: SweepData) -> DrawnFigure:
    caption = (
        f"Mean over seeds with a band of ± one standard error. {_COLORS}, as in Figures 2 and 3 of "
        "the paper. Training loss and accuracy are those seen by SGD during the epoch. Dotted "
        "lines: the learning rate falls. Diverged seeds are left out."
    )
    return drawn("learning_curves", "Learning curves", learning_curves(data), caption)


def _traces(table: Table1) -> tuple[DrawnFigure, DrawnFigure]:
    of_cells = (
        "Both traces per example, data objective, frozen batch normalisation, with one standard "
        "error over seeds, which may be smaller than the marks."
    )
    ratio = (
        "Ratio of the seed means with a paired-seed standard error, against BS/LR, LR and BS, as in "
        f"Figure 4 of the paper. {_COLORS}."
    )
    return (
        drawn("traces", "Traces of every cell", traces_figure(table), of_cells),
        drawn("trace_ratio", "Magnitude difference tr σ²/tr H", ratio_figure(table), ratio),
    )


def _layers(data: SweepData) -> DrawnFigure | None:
    figure = layers_figure(data)
    caption = f"Mean over seeds of each layer's share of both traces. {_COLORS}."
    return None if figure is None else drawn("layers", "Traces by layer", figure, caption)
