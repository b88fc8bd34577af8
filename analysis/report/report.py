"""The report of a sweep: one HTML page that needs nothing else, figures, and Table 1 as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.aggregation.aggregate import Aggregated
from analysis.figures.measured_figures import MEASURED_FIGURES, measured_findings
from analysis.figures.sweep_figures import (
    SWEEP_FIGURES,
    DrawnFigure,
    drawings,
    write_figures,
)
from analysis.findings.generalisation import generalisation_table
from analysis.findings.measured import MeasuredCells
from analysis.findings.provenance import provenance
from analysis.findings.table1 import Table1, build_table1
from analysis.records.load import SweepData
from analysis.report.answer import answer
from analysis.report.beside import Beside
from analysis.report.conclusions import Conclusions, conclude
from analysis.report.law_section import LAW_FIGURES, law_section, paper_section
from analysis.report.measured_sections import (
    cost_section,
    done_section,
    measured_section,
    provenance_section,
)
from analysis.report.table1_part import table1_part
from analysis.report.web.page import (
    Bullets,
    FigurePart,
    Folded,
    Links,
    Page,
    Paragraph,
    Part,
    Section,
    Table,
)
from analysis.report.web.render import render_page
from analysis.report.web.shown_table import file_name, is_cut, table_file
from analysis.report.words import METHODS, PREDICTIONS, TABLE1, sources
from analysis.tables.report_tables import failure_table, prediction_table
from analysis.tables.table1_files import to_csv, to_latex
from workers.contract.errors import user_error


@dataclass(frozen=True)
class Report:
    """The computed contents of a report.

    Attributes:
        data: The sweep's records.
        table: Table 1.
        derived: The derived views.
        laws: The conclusions about the laws.
        cell_measurements: The view of that name as a frame.
        measured: What was measured, by cell.
        figures: All figures, drawn.
        store_uri: Where the records are.
    """

    data: SweepData
    table: Table1
    derived: Aggregated
    laws: Conclusions
    cell_measurements: pd.DataFrame
    measured: MeasuredCells
    figures: list[DrawnFigure]
    store_uri: str


def write_report(report: Report, out: Path) -> list[Path]:
    """Write `report.html`, `figures/*` (SVG, PDF, data as CSV), `table1.csv`, `table1.tex`, long tables as `tables/*.csv`.

    Returns:
        The files written, the page first.

    Raises:
        UserError: The folder cannot be written.
    """
    page = report_page(report)
    return [
        *write_texts({out / "report.html": render_page(page)}),
        *write_beside(report, page, out),
    ]


def write_beside(report: Report, page: Page, folder: Path) -> list[Path]:
    """Write what stands beside a page: Table 1 as CSV and LaTeX, tables of which it shows a part, the figures.

    Raises:
        UserError: The folder cannot be written.
    """
    texts = {
        folder / "table1.csv": to_csv(report.table),
        folder / "table1.tex": to_latex(report.table),
    } | {
        folder / "tables" / file_name(table.content): table_file(table.content)
        for table in page.tables
        if is_cut(table)
    }
    tables = write_texts(texts)
    with _told_where(folder):
        return [*tables, *write_figures(report.figures, folder / "figures")]


def make_folder(folder: Path) -> None:
    """Make the folder of a report, before anything is computed for it.

    Raises:
        UserError: It cannot be made.
    """
    with _told_where(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_texts(texts: Mapping[Path, str]) -> list[Path]:
    """Write texts, and the folders they are in.

    Raises:
        UserError: They cannot be written.
    """
    for path, text in texts.items():
        with _told_where(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return [*texts]


@contextmanager
def _told_where(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise user_error(
            f"the report cannot be written: {error}",
            where=f"--out {folder}",
            mend="choose a folder that can be written",
        ) from error


def compute_report(data: SweepData, derived: Aggregated, store_uri: str) -> Report:
    """Compute everything a report shows from a sweep's records and its derived views."""
    table = build_table1(data)
    cell_measurements = derived.cell_measurements.to_pandas()
    findings = measured_findings(data, cell_measurements)
    drawn = Beside([*drawings(SWEEP_FIGURES, data, table), *drawings(MEASURED_FIGURES, findings)])
    laws = laws_of(data, table, derived)
    of_laws = Beside(drawings(LAW_FIGURES, laws))
    figures = [figure for found in (*drawn.results(), *of_laws.results()) for figure in found]
    return Report(data, table, derived, laws, cell_measurements, findings.cells, figures, store_uri)


def laws_of(data: SweepData, table: Table1, derived: Aggregated) -> Conclusions:
    """Return the conclusions about the laws from a sweep's records and its derived views."""
    return conclude(
        data,
        table,
        predictions=derived.predictions,
        validity=derived.validity,
        cell_measurements=derived.cell_measurements,
    )


def report_page(report: Report, folder: str = "") -> Page:
    """Arrange the whole page, whose figures are in `folder`; a section that holds nothing is not shown."""
    data, measured, store_uri = report.data, report.measured, report.store_uri
    gaps, origin = generalisation_table(data, measured.states), provenance(data, store_uri)
    figures = {
        each.name: FigurePart(
            each.name, each.title, each.caption, each.svg, each.query(data.plan), folder
        )
        for each in report.figures
    }
    sections = [
        Section("Table 1", _table1(report.table, figures)),
        law_section(report.laws, figures),
        measured_section(data, measured, report.cell_measurements, figures),
        paper_section(report.laws),
        Section("Learning curves", _present(figures, "learning_curves")),
        Section("Generalisation", [Table(gaps, num_keys=4)] if gaps else []),
        Section("Layers", _present(figures, "layers")),
        Section("Predictions", _predictions(report.derived)),
        cost_section(data),
        done_section(data, measured, origin),
        Section("Failures", [] if data.failures.empty else [Table(failure_table(data))]),
        Section("How it was measured", [Bullets(METHODS)]),
        provenance_section(data, origin, store_uri),
        Section("Sources", [Links(sources())]),
    ]
    name = data.plan.sweep
    return Page(name, {name: answer(data, report.table, report.laws.standings)}, sections)


def _table1(table: Table1, figures: dict[str, FigurePart]) -> list[Part]:
    if not any(row.num_measured for row in table.rows):
        return []
    return [Paragraph(TABLE1), table1_part(table), *_present(figures, "traces", "trace_ratio")]


def _predictions(derived: Aggregated) -> list[Part]:
    if not derived.predictions.num_rows:
        return []
    table = Table(prediction_table(derived.predictions))
    return [Paragraph(PREDICTIONS), Folded("Every prediction, with reasons", [table])]


def _present(figures: dict[str, FigurePart], *names: str) -> list[Part]:
    return [figures[name] for name in names if name in figures]
