"""The report of a sweep: one HTML page that needs nothing else, figures, and Table 1 as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from analysis.aggregation.aggregate import Aggregated, aggregate_records
from analysis.figures.sweep_figures import DrawnFigure, draw_figures, write_figures
from analysis.findings.generalisation import generalisation_table
from analysis.findings.table1 import Table1, build_table1
from analysis.records.cell_states import cell_states
from analysis.records.load import SweepData, load_sweep
from analysis.report import web_page
from analysis.report.conclusions import Conclusions, conclude
from analysis.report.law_section import draw_law_figures, law_section, paper_section
from analysis.report.words import METHODS, PREDICTIONS, TABLE1, headline, sources
from analysis.tables.report_tables import (
    failure_table,
    network_table,
    prediction_table,
    run_facts,
    state_table,
)
from analysis.tables.table1_files import to_csv, to_latex
from analysis.tables.table1_text import text_tables
from workers.contract.errors import user_error
from workers.contract.store import Store


@dataclass(frozen=True)
class Report:
    """The computed contents of a report.

    Attributes:
        data: The sweep's records.
        table: Table 1.
        derived: The derived views.
        laws: The conclusions about the laws.
        figures: All figures, drawn.
        store_uri: Where the records are.
    """

    data: SweepData
    table: Table1
    derived: Aggregated
    laws: Conclusions
    figures: list[DrawnFigure]
    store_uri: str


def write_report(store: Store, sweep: str, out: Path) -> list[Path]:
    """Write `report.html`, `figures/*.svg`, `figures/*.pdf`, `table1.csv` and `table1.tex`.

    Everything is computed from the records of the sweep's current plan; nothing is written to the
    store.

    Returns:
        The files written, the page first.

    Raises:
        UserError: There is no such sweep in the store, or the folder cannot be written.
    """
    report = compute_report(load_sweep(store, sweep), store.uri)
    texts = {
        out / "report.html": report_page(report),
        out / "table1.csv": to_csv(report.table),
        out / "table1.tex": to_latex(report.table),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return [*texts, *write_figures(report.figures, out / "figures")]
    except OSError as error:
        raise user_error(
            f"the report cannot be written: {error}",
            where=f"--out {out}",
            mend="choose a folder that can be written",
        ) from error


def compute_report(data: SweepData, store_uri: str) -> Report:
    """Compute everything a report shows; a pure function of the sweep's records."""
    table, derived = build_table1(data), aggregate_records(data)
    laws = laws_of(data, table, derived)
    figures = [*draw_figures(data, table), *draw_law_figures(laws)]
    return Report(data, table, derived, laws, figures, store_uri)


def laws_of(data: SweepData, table: Table1, derived: Aggregated) -> Conclusions:
    """Return the conclusions about the laws from a sweep's records and its derived views."""
    return conclude(
        data,
        table,
        predictions=derived.predictions,
        validity=derived.validity,
        cell_measurements=derived.cell_measurements,
    )


def report_page(report: Report) -> str:
    """Return the whole page as HTML."""
    data, states = report.data, cell_states(report.data)
    gaps = generalisation_table(data, states)
    parts = {figure.name: _figure(figure) for figure in report.figures}
    body = "\n".join(
        [
            _head(data),
            web_page.section("What was run", web_page.bullets(run_facts(data, report.store_uri)),
                         web_page.table(network_table(data)), _spec(data)),
            web_page.section("What is done", web_page.table(state_table(states))),
            web_page.section("Table 1", *_table1(report.table),
                         *_present(parts, "traces", "trace_ratio")),
            law_section(report.laws, parts),
            web_page.section("Predictions", web_page.paragraph(PREDICTIONS),
                         web_page.folded("Every prediction, with reasons", web_page.table(
                             prediction_table(report.derived.predictions)))),
            paper_section(report.laws),
            web_page.section("Learning curves", *_present(parts, "learning_curves")),
            web_page.section("Generalisation", web_page.table(gaps) if gaps else _nothing()),
            web_page.section("Layers", *_present(parts, "layers")),
            web_page.section("Failures", _failures(data)),
            web_page.section("How it was measured", web_page.bullets(METHODS)),
            web_page.section("Sources", _sources()),
        ]
    )  # fmt: skip
    return web_page.page(f"{data.plan.sweep} · minima", body)


def _head(data: SweepData) -> str:
    sentence, kind = headline(cell_states(data))
    return web_page.header(data.plan.sweep, web_page.paragraph(sentence, kind=kind))


def _spec(data: SweepData) -> str:
    text = json.dumps(data.plan.spec, indent=1, ensure_ascii=False)
    return web_page.folded("The resolved sweep", web_page.code(text))


def _table1(table: Table1) -> list[str]:
    return [web_page.paragraph(TABLE1), *(web_page.table(part) for part in text_tables(table))]


def _figure(drawn: DrawnFigure) -> str:
    return web_page.figure(drawn.name, drawn.title, drawn.caption, drawn.svg)


def _present(parts: dict[str, str], *names: str) -> list[str]:
    return [parts[name] for name in names if name in parts] or [_nothing()]


def _nothing() -> str:
    return web_page.paragraph("Nothing of this is measured yet.", kind="note")


def _failures(data: SweepData) -> str:
    if data.failures.empty:
        return web_page.paragraph("No attempt failed.")
    return web_page.table(failure_table(data))


def _sources() -> str:
    return web_page.links(sources())
