"""The tables of the report that are not Table 1: runs, state, predictions, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, ratio_texts
from analysis.records.cell_states import CellState
from analysis.records.load import SweepData
from analysis.tables.law_tables import law_text
from analysis.tables.table1_text import CELL_COLUMNS
from analysis.text.number import written, written_scalar
from analysis.text.number_text import NOTHING, plain, with_error
from analysis.text.text_table import TextTable
from workers.contract.plan_document import PlannedStatistic
from workers.contract.quantities import GLOSSARY

_MOST_FAILURES = 50


def run_facts(data: SweepData, store_uri: str) -> list[str]:
    """Return what was planned, when and where it ran, a sentence each."""
    plan, trials = data.plan, data.trials
    facts = [
        f"Plan {plan.revision} of {_minute(plan.planned_at)}: {len(data.cells)} cells, "
        f"{len(plan.trials)} trials, seeds {', '.join(map(str, plan.seeds))}.",
        "Statistics: " + (", ".join(map(_statistic_text, plan.statistics)) or "none") + ".",
        f"Store: {store_uri}",
    ]
    if not trials.empty:
        first, last = trials["started_at"].min(), trials["finished_at"].max()
        facts.append(
            f"Trained between {_minute(first)} and {_minute(last)} UTC, "
            f"{_duration(trials['wall_seconds'].sum())} of training in all, on {', '.join(sorted(trials['device'].unique()))}."
        )
    return facts


def _statistic_text(planned: PlannedStatistic) -> str:
    name, seeds = planned.statistic.name, planned.statistic.seeds
    if seeds is None:
        return name
    return f"{name} (asked for the first {'seed' if seeds == 1 else f'{seeds} seeds'})"


def network_table(data: SweepData) -> TextTable:
    """Tabulate what was trained, one row for each combination that occurs."""
    columns = ["model", "depth", "num_params", "dataset", "num_train", "loss", "epochs"]
    columns += ["momentum", "weight_decay", "environment_id"]
    found = (
        data.trials.groupby(columns, dropna=False, observed=True).size().reset_index(name="trials")
    )
    rows = tuple(tuple(_text(value) for value in row) for row in found.itertuples(index=False))
    return TextTable("Trained networks", (*columns, "trials"), rows)


def state_table(states: Mapping[Cell, CellState]) -> TextTable:
    """Tabulate the state of every cell; cells that mix environments are flagged."""
    ratios = ratio_texts(states)
    rows = tuple(
        (
            ratios[cell],
            written(cell.batch_size, "d"),
            written(cell.learning_rate),
            f"{state.num_done}/{state.num_seeds}",
            *_counts(state),
            "complete" if state.is_complete else "incomplete *",
            ", ".join(state.environment_ids) + (" (mixed)" if _is_mixed(state) else ""),
        )
        for cell, state in states.items()
    )
    columns = (*CELL_COLUMNS, "missing", "failed", "diverged", "state")
    notes = [
        "seeds: trained to their end and wholly measured, of all planned; "
        "missing: not trained, or a planned statistic is not committed; failed: of these, those "
        "given up after failures; diverged: trained, without a minimum to measure."
    ]
    if any(_is_mixed(state) for state in states.values()):
        notes.append("mixed: seeds of one cell ran in different environments.")
    return TextTable("State of every cell", (*columns, "environments"), rows, tuple(notes))


def prediction_table(predictions: pa.Table) -> TextTable:
    """Tabulate every law at the end of every excursion, with its reasons."""
    found = _ends(predictions.to_pylist())
    rows = tuple(
        (
            law_text(row["prediction"]),
            written(row["batch_size"], "d"),
            written(row["learning_rate"]),
            written(row["learning_rate_used"]),
            GLOSSARY[row["target"]].symbol,
            row["bn_mode"],
            row["sampler"],
            NOTHING if row["num_steps"] is None else written(row["num_steps"], "d"),
            _estimate(row["predicted"], row["predicted_stderr"]),
            _estimate(row["measured"], row["measured_stderr"]),
            plain(row["log_ratio"], 3),
            "yes" if row["valid"] else "no",
            " • ".join(row["reasons"]),
        )
        for row in found
    )
    columns = ("law", "BS", "LR", "η used", "of", "BN", "sampler", "steps", "predicted", "measured")
    notes = ("ln ratio: ln(measured/predicted).",)
    return TextTable(
        "Predictions", (*columns, "ln ratio", "valid", "reasons"), rows, notes, num_left=1
    )


def failure_table(data: SweepData) -> TextTable:
    """Tabulate failed attempts, the latest first, even where the work was done since."""
    latest = data.failures.sort_values("failed_at", ascending=False).head(_MOST_FAILURES)
    cells = data.planned.set_index("trial_id")
    rows = tuple(
        (
            _minute(row.failed_at),
            _cell_of(cells, str(row.trial_id)),
            _work(data, statistic_id),
            str(row.failure_class),
            str(row.host),
            str(row.log_path),
            str(row.message),
        )
        for row, statistic_id in zip(
            latest.itertuples(index=False), latest["statistic_id"], strict=True
        )
    )
    num_more = len(data.failures) - len(rows)
    notes = (f"{num_more} earlier failures are not shown.",) if num_more else ()
    columns = ("time (UTC)", "trial", "work", "class", "host", "log", "message")
    return TextTable("Failed attempts", columns, rows, notes, num_left=len(columns))


def _ends(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the longest window of each fork, and those without windows."""
    what = ("loss", "batch_size", "learning_rate", "learning_rate_used", "bn_mode", "sampler")
    longest: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = tuple(row[name] for name in what)
        longest[key] = max(longest.get(key, 0), row["num_steps"] or 0)
    return [
        row
        for row in rows
        if row["num_steps"] in (None, longest[tuple(row[name] for name in what)])
    ]


def _counts(state: CellState) -> tuple[str, str, str]:
    return (
        written(state.num_missing, "d"),
        written(state.num_failed, "d"),
        written(state.num_diverged, "d"),
    )


def _is_mixed(state: CellState) -> bool:
    return len(state.environment_ids) > 1


def _cell_of(cells: pd.DataFrame, trial_id: str) -> str:
    row = cells.loc[trial_id]
    return f"BS {row['batch_size']}, LR {row['learning_rate']:g}, seed {row['seed']}"


def _work(data: SweepData, statistic_id: object) -> str:
    names = {s.statistic_id: s.statistic.name for s in data.plan.statistics}
    if not isinstance(statistic_id, str):  # null in a column of strings
        return "training"
    return names.get(statistic_id, statistic_id)


def _estimate(value: float | None, stderr: float | None) -> str:
    if value is None:
        return NOTHING
    return with_error(Uncertain(value, float("nan") if stderr is None else stderr))


def _text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]  # a scalar of any type
        return NOTHING
    return written_scalar(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _minute(moment: object) -> str:
    return pd.Timestamp(str(moment)).strftime("%Y-%m-%d %H:%M")
