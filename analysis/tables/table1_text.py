"""Table 1 as text: the parts that are printed and shown in the report."""

from __future__ import annotations

from collections.abc import Callable

from analysis.findings.table1 import Table1, Table1Row, law_columns
from analysis.mathematics.uncertain import Uncertain
from analysis.records.paper_table1 import CITATION
from analysis.text.number_text import NOTHING, plain, with_error
from analysis.text.text_table import TextTable, render

_CELL = ("BS/LR", "BS", "LR", "seeds")


def render_text(table: Table1) -> str:
    """Return Table 1 in plain text, at most 120 columns wide."""
    return "\n\n".join(render(part) for part in text_tables(table))


def text_tables(table: Table1) -> list[TextTable]:
    """Return Table 1 in parts: traces per example, traces × N beside the paper's, laws in both."""
    notes = _notes(table)
    head = f"Table 1 · {table.sweep}"
    return [
        TextTable(
            f"{head} · traces per example (mean loss)",
            (*_CELL, "tr σ²", "tr H", "tr σ²/tr H"),
            _rows(table, _per_example),
            notes,
        ),
        TextTable(
            f"{head} · traces × N, the paper's convention",
            (*_CELL, "N·tr σ²", "paper", "N·tr H", "paper", "ratio", "paper"),
            _rows(table, _beside_paper),
            (f"paper: {CITATION}.",) if table.is_paper_setting else (),
        ),
        TextTable(
            f"{head} · excess loss the laws give, per example",
            (*_CELL, *_law_heads()),
            _rows(table, _laws),
        ),
        TextTable(
            f"{head} · excess loss the laws give × N",
            (*_CELL, *_law_heads()),
            _rows(table, _laws_summed),
        ),
    ]


def _rows(table: Table1, values: Callable[[Table1Row], list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple((*_cell(row), *values(row)) for row in table.rows)


def _cell(row: Table1Row) -> list[str]:
    mark = "" if row.state.is_complete else "*"
    return [
        plain(row.cell.batch_size_over_learning_rate).replace(",", ""),
        str(row.cell.batch_size),
        f"{row.cell.learning_rate:g}",
        f"{row.num_measured}/{row.state.num_seeds}{mark}",
    ]


def _per_example(row: Table1Row) -> list[str]:
    shown = (row.gradient_noise_trace, row.hessian_trace, row.magnitude_difference)
    return [with_error(estimate) for estimate in shown]


def _beside_paper(row: Table1Row) -> list[str]:
    paper = row.paper
    return [
        with_error(row.summed(row.gradient_noise_trace)),
        f"{paper.gradient_noise_trace:,}" if paper else NOTHING,
        with_error(row.summed(row.hessian_trace)),
        f"{paper.hessian_trace:,}" if paper else NOTHING,
        with_error(row.magnitude_difference),
        f"{paper.magnitude_difference}" if paper else NOTHING,
    ]


def _laws(row: Table1Row) -> list[str]:
    return [with_error(column.of(row)) for column in law_columns()]


def _laws_summed(row: Table1Row) -> list[str]:
    columns: list[Uncertain] = [row.summed(column.of(row)) for column in law_columns()]
    return [with_error(estimate) for estimate in columns]


def _law_heads() -> list[str]:
    """Return the heads of the laws' columns, the formula with the first of each law's two."""
    return [
        f"{column.formula.text}, initial η" if column.rate == "initial" else "final η"
        for column in law_columns()
    ]


def _notes(table: Table1) -> tuple[str, ...]:
    notes = ["± is one standard error over seeds; that of the ratio is paired by seed."]
    notes += [
        f"* BS {row.cell.batch_size}, LR {row.cell.learning_rate:g} is incomplete: "
        f"{row.state.sentence}{f' ({row.state.lacking})' if row.state.lacking else ''}."
        for row in table.rows
        if not row.state.is_complete
    ]
    if any(not row.state.is_complete for row in table.rows):
        notes.append("seeds: those with both traces, of all planned.")
    earlier = sorted({name for row in table.rows for name in row.state.earlier})
    if earlier:
        notes.append(
            f"An earlier version of the numerics measured {', '.join(earlier)} of some seeds: "
            "--remeasure measures them anew."
        )
    return tuple(notes)
