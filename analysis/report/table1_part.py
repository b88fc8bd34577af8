"""Table 1 once, as a part of the page: both conventions and both learning rates in one table, by switches."""

from __future__ import annotations

from analysis.findings.table1 import Table1, Table1Row, law_columns
from analysis.records.paper_table1 import CITATION
from analysis.report.web.page import Switch, Table
from analysis.tables.table1_text import CELL_COLUMNS, cell_texts, table1_notes
from analysis.text.number import written
from analysis.text.number_text import NOTHING, with_error
from analysis.text.text_table import TextTable

_UNITS = Switch("traces and losses", (("example", "per example"), ("sum", "× N, as in the paper")))
_RATES = Switch("η of the laws", (("initial", "initial"), ("final", "final")))


def table1_part(table: Table1) -> Table:
    """Lay out Table 1 with a switch for the convention and one for the learning rate."""
    heads, words = zip(*_columns(), strict=True)
    notes = list(table1_notes(table))
    if table.is_paper_setting:
        notes.append(f"paper: {CITATION}.")
    content = TextTable(
        "Table 1: traces, their ratio, and the excess loss that each law gives",
        (*CELL_COLUMNS, *heads),
        tuple(
            (*cell, *_values(row))
            for cell, row in zip(cell_texts(table.rows), table.rows, strict=True)
        ),
        tuple(notes),
    )
    shown_with = (*("" for _ in CELL_COLUMNS), *words)
    return Table(content, len(CELL_COLUMNS), (_UNITS, _RATES), shown_with)


def _columns() -> list[tuple[str, str]]:
    """List the heads after the cell's own, each with the choices it is shown with."""
    laws = [
        (f"{sign}{column.formula.text}, {column.rate} η", f"{unit} {column.rate}")
        for sign, unit in (("", "example"), ("N·", "sum"))
        for column in law_columns()
    ]
    return [
        ("tr σ²", "example"), ("tr H", "example"),
        ("N·tr σ²", "sum"), ("N·tr σ², paper", "sum"), ("N·tr H", "sum"), ("N·tr H, paper", "sum"),
        ("tr σ²/tr H", ""), ("tr σ²/tr H, paper", ""), *laws,
    ]  # fmt: skip


def _values(row: Table1Row) -> list[str]:
    paper = row.paper
    noise, hessian = row.gradient_noise_trace, row.hessian_trace
    of_laws = [column.of(row) for column in law_columns()]
    return [
        with_error(noise), with_error(hessian),
        with_error(row.summed(noise)), written(paper.gradient_noise_trace, ",") if paper else NOTHING,
        with_error(row.summed(hessian)), written(paper.hessian_trace, ",") if paper else NOTHING,
        with_error(row.magnitude_difference), written(paper.magnitude_difference, "") if paper else NOTHING,
        *(with_error(estimate) for estimate in of_laws),
        *(with_error(row.summed(estimate)) for estimate in of_laws),
    ]  # fmt: skip
