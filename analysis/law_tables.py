"""Tables of what was found about the laws: verdicts by cell, the league, assumptions, covariance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

import pandas as pd

from analysis.covariance import CellCovariance
from analysis.estimate import Estimate
from analysis.interval import Interval
from analysis.law_rows import LawRow, at_the_end
from analysis.league import Standing
from analysis.number_text import NOTHING, plain, with_error
from analysis.text_table import TextTable
from workers.contract.quantities import GLOSSARY

VERDICT_NOTE = (
    "holds: the 95 % interval of measured/predicted lies within 10 % of 1; fails: wholly outside; "
    "undecided: neither. valid: no checked assumption of the law is broken."
)


def verdict_table(rows: Sequence[LawRow]) -> TextTable | None:
    """Set every law beside the measurement in every cell, at the end of each excursion."""
    last = sorted(at_the_end(rows), key=lambda row: (row.target, row.excursion, row.prediction))
    if not last:
        return None
    columns = ("law", "of", "BS", "LR", "measured by", "predicted", "measured")
    return TextTable(
        "What the laws say, and what was measured",
        (*columns, "measured/predicted", "verdict", "valid"),
        tuple(
            (
                row.prediction,
                GLOSSARY[row.target].symbol,
                *_cell(row),
                excursion_label(row, last),
                _value(row.predicted, row.predicted_stderr),
                _value(row.measured, row.measured_stderr),
                ratio_text(row.log_ratio),
                row.verdict or NOTHING,
                "yes" if row.is_valid else "no",
            )
            for row in last
        ),
        (VERDICT_NOTE,),
        num_left=2,
    )


def league_table(standings: Sequence[Standing]) -> TextTable | None:
    """Rank the laws over all cells."""
    if not standings:
        return None
    columns = ("law", "of", "measured by", "BN", "cells", "median |ln ratio|")
    return TextTable(
        "League of the laws, the closest first",
        (*columns, "measured/predicted", "hold", "fail", "verdict", "valid", "where valid"),
        tuple(
            (
                standing.prediction,
                GLOSSARY[standing.target].symbol,
                f"{standing.measured_by}{'' if standing.sampler == 'replacement' else ', shuffled'}",
                standing.bn_mode,
                str(standing.num_cells),
                plain(standing.median_distance, 3),
                ratio_text(standing.log_ratio),
                str(standing.cell_verdicts.get("holds", 0)),
                str(standing.cell_verdicts.get("fails", 0)),
                standing.verdict or NOTHING,
                f"{standing.num_valid}/{standing.num_cells}",
                standing.verdict_where_valid or NOTHING,
            )
            for standing in standings
        ),
        (
            "measured/predicted: geometric mean over cells [95 % interval, cells the units]. hold, "
            "fail: cells by their own interval. Over the sweep a law holds if every cell holds, or "
            "the interval lies within 10 % of 1 and no cell fails; it fails if every cell fails, or "
            "the interval lies wholly outside. where valid: the same from the valid cells alone. "
            "Laws of the stationary state are judged by tails and by the longest window of forks.",
        ),
        num_left=4,
    )


def validity_tables(validity: pd.DataFrame, names: Mapping[str, str]) -> list[TextTable]:
    """Show every test in every cell, one table for each excursion; names are of statistics by id."""
    keys = ["statistic_id", "bn_mode", "sampler"]
    tables = []
    for (statistic_id, bn_mode, sampler), rows in validity.groupby(keys, sort=False):
        cells = list(rows.groupby(["batch_size", "learning_rate", "learning_rate_used"]))
        meanings = rows.drop_duplicates("test").set_index("test")["meaning"]
        tables.append(
            TextTable(
                f"Assumptions · {names[str(statistic_id)]}, batch norm {bn_mode}, sampler {sampler}",
                ("test", *(f"{size}, {rate:g}" for (size, rate, _), _ in cells)),
                tuple(
                    (str(test), *(_tested(cell[cell["test"] == test]) for _, cell in cells))
                    for test in meanings.index
                ),
                (
                    "Columns are cells (BS, LR): median over seeds (seeds that pass/seeds).",
                    *(f"{test}: {meaning}." for test, meaning in meanings.items()),
                ),
                num_left=1,
            )
        )
    return tables


def covariance_table(found: Sequence[CellCovariance]) -> TextTable | None:
    """Compare the variance along top eigenvectors with both laws, and noise with Hessian there."""
    if not found:
        return None
    columns = ("BS", "LR", "η used", "BN", "seeds", "directions", "measured/Wang", "verdict")
    return TextTable(
        "Covariance along the top eigenvectors of H",
        (*columns, "measured/(η/2m)", "verdict", "γ", "Σc/Σλ", "cosine"),
        tuple(
            (
                str(cell.cell.batch_size),
                f"{cell.cell.learning_rate:g}",
                f"{cell.learning_rate_used:g}",
                cell.bn_mode,
                str(len(cell.trials)),
                str(max(map(len, cell.trials))),
                ratio_text(cell.wang),
                cell.wang.verdict or NOTHING,
                ratio_text(cell.jastrzebski),
                cell.jastrzebski.verdict or NOTHING,
                interval_text(cell.slope),
                ratio_text(cell.log_scale),
                interval_text(cell.cosine),
            )
            for cell in found
        ),
        (
            "Geometric means over directions [95 % interval]. Wang: cη/(mλ(2 - ηλ)), c = uᵀσ²u, with "
            "momentum and the finite number of steps. η/2m: Jastrzębski's covariance, the same in "
            "every direction. If σ² = H: c ∝ λ^γ with γ = 1, Σc/Σλ = 1, cosine of (c, λ) = 1.",
        ),
    )


def ratio_text(log_ratio: Interval) -> str:
    """Write a ratio from its logarithm: `1.04 [0.95, 1.13]`."""
    bounds = (log_ratio.low, log_ratio.high)
    low, high = (None if bound is None else _exp(bound) for bound in bounds)
    return interval_text(Interval(_exp(log_ratio.value), low, high))


def interval_text(interval: Interval) -> str:
    """Write `value [low, high]` with three digits."""
    if not math.isfinite(interval.value):
        return NOTHING
    if interval.low is None or interval.high is None:
        return f"{plain(interval.value, 3)} [?]"
    return f"{plain(interval.value, 3)} [{plain(interval.low, 3)}, {plain(interval.high, 3)}]"


def excursion_label(row: LawRow, among: Sequence[LawRow]) -> str:
    """Name a measurement by what differs among the rows shown: `fork 512`, `tail, batch`."""
    parts = [row.measured_by if row.num_steps is None else f"{row.measured_by} {row.num_steps}"]
    if len({item.bn_mode for item in among}) > 1:
        parts.append(row.bn_mode)
    if len({item.sampler for item in among}) > 1:
        parts.append(row.sampler)
    of_cell = {item.learning_rate_used for item in among if item.cell == row.cell}
    if len(of_cell) > 1:
        parts.append(f"η {row.learning_rate_used:g}")
    return ", ".join(parts)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _cell(row: LawRow) -> tuple[str, str]:
    return str(row.cell.batch_size), f"{row.cell.learning_rate:g}"


def _value(value: float, stderr: float) -> str:
    return with_error(Estimate(value, stderr, 0))


def _tested(rows: pd.DataFrame) -> str:
    if rows.empty:
        return NOTHING
    value = plain(median(rows["value"].astype(float)), 3)
    decided = rows["passes"].dropna()
    return f"{value} ({int(decided.sum())}/{len(rows)})" if len(decided) else value
