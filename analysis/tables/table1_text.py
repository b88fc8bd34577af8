"""Table 1 as text: the parts that are printed and shown in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.findings.table1 import Table1, Table1Row, law_columns
from analysis.mathematics.evenly_chosen import evenly_chosen
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import ratio_texts
from analysis.records.paper_table1 import CITATION
from analysis.text.number import written
from analysis.text.number_text import NOTHING, power_in_heading, with_errors
from analysis.text.text_table import TextTable, render

CELL_COLUMNS = ("BS/LR", "BS", "LR", "seeds")

MOST_PRINTED = 100
"""Cells of a table in the terminal; of more, so many stand there."""


def render_text(table: Table1, width: int | None = None) -> str:
    """Return Table 1 in plain text, at most 120 columns wide, or as wide as the terminal.

    Of more than `MOST_PRINTED` cells so many are printed, evenly chosen by their place.
    """
    shown = replace(table, rows=tuple(evenly_chosen(table.rows, MOST_PRINTED)))
    parts = text_tables(shown)
    if len(shown.rows) < len(table.rows):
        note = f"{MOST_PRINTED} of {len(table.rows):,} cells, evenly chosen; view `cells` has all."
        parts[0] = replace(parts[0], notes=(*parts[0].notes, note))
    return "\n\n".join(render(part, width) for part in parts)


def text_tables(table: Table1) -> list[TextTable]:
    """Return Table 1 in parts: traces per example, traces × N beside the paper's, laws in both."""
    notes = table1_notes(table)
    head = f"Table 1 · {table.sweep}"
    paper = (f"paper: {CITATION}.",) if table.is_paper_setting else ()
    cells = cell_texts(table.rows)
    return [
        _table(
            cells,
            f"{head} · traces per example (mean loss)",
            ("tr σ²", "tr H", "tr σ²/tr H"),
            [_per_example(row) for row in table.rows],
            notes,
        ),
        _table(
            cells,
            f"{head} · traces × N, the paper's convention",
            ("N·tr σ²", "paper", "N·tr H", "paper", "ratio", "paper"),
            [_beside_paper(row) for row in table.rows],
            paper,
        ),
        _table(
            cells,
            f"{head} · excess loss the laws give, per example",
            _law_heads(),
            [_laws(row) for row in table.rows],
        ),
        _table(
            cells,
            f"{head} · excess loss the laws give × N",
            _law_heads(),
            [_laws_summed(row) for row in table.rows],
        ),
    ]


def table1_notes(table: Table1) -> tuple[str, ...]:
    """Return what a reader of Table 1 must know: its errors, and what is incomplete."""
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


def _table(
    cells: Sequence[Sequence[str]],
    title: str,
    headings: Sequence[str],
    values: Sequence[list[Uncertain | str]],
    notes: tuple[str, ...] = (),
) -> TextTable:
    """Return a row for each cell, whose texts are given; a column of small estimates has one power of ten."""
    columns = [_column(column) for column in zip(*values, strict=True)] or [[] for _ in headings]
    headed = [power_in_heading(*each) for each in zip(headings, columns, strict=True)]
    rows = zip(*(texts for _, texts in headed), strict=True)
    return TextTable(
        title,
        (*CELL_COLUMNS, *(heading for heading, _ in headed)),
        tuple((*cell, *texts) for cell, texts in zip(cells, rows, strict=True)),
        notes,
    )


def _column(values: Sequence[Uncertain | str]) -> list[str]:
    estimates = [value for value in values if isinstance(value, Uncertain)]
    texts = iter(with_errors(estimates))
    return [next(texts) if isinstance(value, Uncertain) else value for value in values]


def cell_texts(rows: Sequence[Table1Row]) -> list[tuple[str, ...]]:
    """Return the texts of `CELL_COLUMNS` of each cell; an incomplete one has a mark."""
    ratios = ratio_texts(row.cell for row in rows)
    return [
        (
            ratios[row.cell],
            written(row.cell.batch_size, "d"),
            written(row.cell.learning_rate),
            f"{row.num_measured}/{row.state.num_seeds}{'' if row.state.is_complete else '*'}",
        )
        for row in rows
    ]


def _per_example(row: Table1Row) -> list[Uncertain | str]:
    return [row.gradient_noise_trace, row.hessian_trace, row.magnitude_difference]


def _beside_paper(row: Table1Row) -> list[Uncertain | str]:
    paper = row.paper
    return [
        row.summed(row.gradient_noise_trace),
        written(paper.gradient_noise_trace, ",") if paper else NOTHING,
        row.summed(row.hessian_trace),
        written(paper.hessian_trace, ",") if paper else NOTHING,
        row.magnitude_difference,
        written(paper.magnitude_difference, "") if paper else NOTHING,
    ]


def _laws(row: Table1Row) -> list[Uncertain | str]:
    return [column.of(row) for column in law_columns()]


def _laws_summed(row: Table1Row) -> list[Uncertain | str]:
    return [row.summed(column.of(row)) for column in law_columns()]


def _law_heads() -> list[str]:
    """Return the heads of the laws' columns, the formula with the first of each law's two."""
    return [
        f"{column.formula.text}, initial η" if column.rate == "initial" else "final η"
        for column in law_columns()
    ]
