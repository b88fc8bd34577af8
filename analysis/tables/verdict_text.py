"""The findings about the laws, in plain text for the end of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

import pyarrow as pa

from analysis.findings.lacking import LackingStatistic, listed
from analysis.findings.law_rows import law_rows
from analysis.findings.league import Standing, league
from analysis.findings.table1 import Table1, law_columns
from analysis.predictions import laws
from analysis.tables.law_tables import league_tables, verdict_tables
from analysis.text.interval_text import ratio_text, three_digits
from analysis.text.number_text import counted, counted_from_to
from analysis.text.text_table import render

_WIDTH = 120

_ENTRIES = {"traces": "traces", "fork": "{name: fork}"}
"""As they stand under `measure`."""


def verdict_text(predictions: pa.Table, width: int | None = None) -> str:
    """Return laws × cells, the league over cells, and how queries call the laws; empty if none was measured."""
    frame = predictions.to_pandas()
    standings = league(frame)
    tables = [*verdict_tables(law_rows(frame)), *league_tables(standings)]
    if not tables:
        return ""
    parts = [render(table, width) for table in tables]
    names = _wrapped(_query_names({item.prediction for item in standings}), width)
    return "\n" + "\n\n".join([*parts, names]) + "\n"


def conclusion_text(
    table: Table1,
    lacking: Sequence[LackingStatistic],
    num_excess_seeds: int,
    predictions: pa.Table,
    width: int | None = None,
) -> str:
    """Return in a few sentences which law holds by what factor, on how many seeds, and what is missing.

    Args:
        table: Table 1.
        lacking: What laws lack.
        num_excess_seeds: Seeds with a measured excess loss.
        predictions: The view.
        width: Of the terminal, in characters.
    """
    of_loss = [item for item in league(predictions.to_pandas()) if item.target == "excess_loss"]
    sentences = list(map(_standing_text, of_loss)) or _untested(table, lacking)
    head = f"Verdict on the excess loss, from {_seeds_text(table, num_excess_seeds)}"
    lines = [f"{head}:", *sentences, *_open_cells(table)]
    return "\n".join(_wrapped(line, width) for line in lines)


def _wrapped(line: str, width: int | None) -> str:
    limit = _WIDTH if width is None else min(width, _WIDTH)
    return "\n".join(textwrap.wrap(line, limit, subsequent_indent="  "))


def _query_names(shown: Collection[str]) -> str:
    """Return what the column `prediction` of view `predictions` holds for each law shown."""
    named = (f"{law.name} ({law.human_name})" for law in laws().values() if law.name in shown)
    return f"In minima query, column prediction: {', '.join(named)}."


def _seeds_text(table: Table1, num_excess_seeds: int) -> str:
    seeds = sorted({row.num_measured for row in table.rows}) or [0]
    cells = counted(len(table.rows), "cell")
    if not seeds[-1] and num_excess_seeds:
        return f"{counted(num_excess_seeds, 'seed')} of it, without traces"
    with_seeds = f"{cells} with {counted_from_to(seeds[0], seeds[-1], 'measured seed')} each"
    part = f" (the excess loss: {num_excess_seeds})"
    return with_seeds + (part if 0 < num_excess_seeds < seeds[0] else "")


def _standing_text(standing: Standing) -> str:
    said, cells = standing.told or "undecided", counted(standing.num_cells, "cell")
    if said == "agrees":
        said = "agrees, though its assumptions are not met"
    where = f"{standing.num_valid} of {cells}, where its assumptions are met"
    return (
        f"{laws()[standing.prediction].human_name}: {said}. Measured is {ratio_text(standing.judged[0])} times what "
        f"it gives (by {standing.measured_by} in {where if standing.num_valid else cells})."
    )


def _untested_sentence(lacking: Sequence[LackingStatistic], *, is_open: bool) -> str:
    """Return why no law is held against a measurement, and which statistics would mend it.

    Args:
        lacking: What laws lack.
        is_open: Whether the same command has anything left to do.
    """
    if not lacking:
        return "no law is tested yet, as no seed has a sound number on both sides of one."
    was = "was" if lacking[0].name == "fork" else "were"
    unplanned = [_ENTRIES[each.name] for each in lacking if not each.is_planned]
    planned = "it is planned, run again" if is_open else "every trial skipped that"
    mend = f"add {' and '.join(unplanned)} to `measure`" if unplanned else planned
    return f"no law is tested yet, as {listed(lacking)} {was} not measured: {mend}."


def _untested(table: Table1, lacking: Sequence[LackingStatistic]) -> list[str]:
    """Return that no law was held against a measurement, and what the traces tell all the same."""
    ratios = [row.law_difference.value for row in table.rows]
    known = [ratio for ratio in ratios if ratio > 0]
    is_open = any(row.state.num_missing for row in table.rows)
    sentences = [_untested_sentence(lacking, is_open=is_open)]
    if known:
        of = {column.formula.quantity: laws()[column.law].human_name for column in law_columns()}
        sentences.append(
            f"{of['gradient_noise_trace']} gives {_range(known)} times the excess loss that "
            f"{of['hessian_trace']} gives."
        )
    return sentences


def _open_cells(table: Table1) -> list[str]:
    num_open = sum(not row.state.is_complete for row in table.rows)
    return [f"Not complete: {num_open} of {counted(len(table.rows), 'cell')}."] if num_open else []


def _range(values: list[float]) -> str:
    low, high = three_digits(min(values)), three_digits(max(values))
    return low if low == high else f"{low} to {high}"
