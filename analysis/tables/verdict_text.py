"""The findings about the laws, in plain text for the end of a run."""

from __future__ import annotations

import pyarrow as pa

from analysis.findings.law_rows import law_rows
from analysis.findings.league import Standing, league
from analysis.findings.table1 import Table1
from analysis.tables.law_tables import league_tables, ratio_text, three_digits, verdict_tables
from analysis.text.text_table import render


def verdict_text(predictions: pa.Table, width: int | None = None) -> str:
    """Return laws × cells, then the league over cells; empty if nothing was measured for a law."""
    frame = predictions.to_pandas()
    tables = [*verdict_tables(law_rows(frame)), *league_tables(league(frame))]
    parts = [render(table, width) for table in tables]
    return "\n" + "\n\n".join(parts) + "\n" if parts else ""


def conclusion_text(table: Table1, predictions: pa.Table) -> str:
    """Return in a few sentences which law holds by what factor, on how many seeds, and what is missing."""
    standings = league(predictions.to_pandas())
    of_loss = [item for item in standings if item.target == "excess_loss"]
    seeds = sorted({row.num_measured for row in table.rows})
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}" if seeds else "0"
    on = (
        f"{_count(len(table.rows), 'cell')} with {counts} measured seed{'s' * (counts != '1')} each"
    )
    if of_loss:
        return "\n".join(
            [
                f"Verdict for the excess loss, on {on}:",
                *map(_standing_line, of_loss),
                *_open_cells(table),
            ]
        )
    sentences = [
        f"Verdict, on {on}: none of the laws is tested, as no excess loss was measured: add a fork "
        "to `measure`, {name: fork}, and spectrum for the laws in λ."
    ]
    ratios = [
        row.magnitude_difference.value for row in table.rows if row.magnitude_difference.value > 0
    ]
    if ratios:
        sentences.append(
            f"Already told apart: tr σ² is {_range(ratios)} times tr H, and so is the excess loss that "
            "wang_4_45 gives, held against that of jastrzebski_9."
        )
    return "\n".join([*sentences, *_open_cells(table)])


def _standing_line(standing: Standing) -> str:
    said = {"holds": "holds", "fails": "fails"}.get(standing.verdict or "", "is undecided")
    assumed = (
        "no cell"
        if not standing.num_valid
        else f"{standing.num_valid} of {standing.num_cells} cells"
    )
    return (
        f"  {standing.prediction} {said}: the measured loss is {ratio_text(standing.log_ratio)} times what "
        f"it gives ({standing.measured_by}); its assumptions are met in {assumed}."
    )


def _open_cells(table: Table1) -> list[str]:
    num_open = sum(not row.state.is_complete for row in table.rows)
    return [f"Not complete: {num_open} of {_count(len(table.rows), 'cell')}."] if num_open else []


def _range(values: list[float]) -> str:
    low, high = three_digits(min(values)), three_digits(max(values))
    return low if low == high else f"{low} to {high}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
