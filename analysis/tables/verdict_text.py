"""The findings about the laws, in plain text for the end of a run."""

from __future__ import annotations

import textwrap

import pyarrow as pa

from analysis.findings.lacking import lacking_statistics, listed
from analysis.findings.law_rows import law_rows
from analysis.findings.league import Standing, league
from analysis.findings.table1 import Table1
from analysis.records.load import SweepData
from analysis.tables.law_tables import league_tables, verdict_tables
from analysis.text.interval_text import ratio_text, three_digits
from analysis.text.text_table import render

_WIDTH = 120

_ENTRIES = {"traces": "traces", "fork": "{name: fork}"}
"""As they stand under `measure`."""


def verdict_text(predictions: pa.Table, width: int | None = None) -> str:
    """Return laws × cells, then the league over cells; empty if nothing was measured for a law."""
    frame = predictions.to_pandas()
    tables = [*verdict_tables(law_rows(frame)), *league_tables(league(frame))]
    parts = [render(table, width) for table in tables]
    return "\n" + "\n\n".join(parts) + "\n" if parts else ""


def conclusion_text(
    data: SweepData, table: Table1, predictions: pa.Table, width: int | None = None
) -> str:
    """Return in a few sentences which law holds by what factor, on how many seeds, and what is missing."""
    of_loss = [item for item in league(predictions.to_pandas()) if item.target == "excess_loss"]
    sentences = list(map(_standing_text, of_loss)) or _untested(data, table)
    head = f"Verdict on the excess loss, from {_seeds_text(table)}"
    lines = [f"{head}:", *sentences, *_open_cells(table)]
    limit = _WIDTH if width is None else min(width, _WIDTH)
    wrapped = (textwrap.wrap(line, limit, subsequent_indent="  ") for line in lines)
    return "\n".join(line for part in wrapped for line in part)


def _seeds_text(table: Table1) -> str:
    seeds = sorted({row.num_measured for row in table.rows}) or [0]
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"{_count(len(table.rows), 'cell')} with {counts} measured seed{'s' * (counts != '1')} each"
    )


def _standing_text(standing: Standing) -> str:
    verdict = standing.verdict or "undecided"
    said = verdict if verdict in {"holds", "fails"} else f"is {verdict}"
    assumed = f"{standing.num_valid} of {_count(standing.num_cells, 'cell')}"
    return (
        f"{standing.prediction} {said}: measured is {ratio_text(standing.log_ratio)} times what it "
        f"gives (by {standing.measured_by}; its assumptions are met in {assumed})."
    )


def _untested_sentence(data: SweepData) -> str:
    """Return why no law is held against a measurement, and which statistics would mend it."""
    lacking = lacking_statistics(data)
    if not lacking:
        return "no law is tested yet, as no seed has a sound number on both sides of one."
    was = "was" if lacking[0].name == "fork" else "were"
    unplanned = [_ENTRIES[each.name] for each in lacking if not each.is_planned]
    mend = (
        f"add {' and '.join(unplanned)} to `measure`" if unplanned else "it is planned, run again"
    )
    return f"no law is tested yet, as {listed(lacking)} {was} not measured: {mend}."


def _untested(data: SweepData, table: Table1) -> list[str]:
    """Return that no law was held against a measurement, and what the traces tell all the same."""
    ratios = [row.magnitude_difference.value for row in table.rows]
    known = [ratio for ratio in ratios if ratio > 0]
    sentences = [_untested_sentence(data)]
    if known:
        sentences.append(
            f"tr σ² is {_range(known)} times tr H: so many times the excess loss of jastrzebski_9 is "
            "what wang_4_45 gives."
        )
    return sentences


def _open_cells(table: Table1) -> list[str]:
    num_open = sum(not row.state.is_complete for row in table.rows)
    return [f"Not complete: {num_open} of {_count(len(table.rows), 'cell')}."] if num_open else []


def _range(values: list[float]) -> str:
    low, high = three_digits(min(values)), three_digits(max(values))
    return low if low == high else f"{low} to {high}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
