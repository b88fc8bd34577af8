"""What was measured for the laws: the rows of view `predictions` that have a measured side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.mathematics.interval import Interval
from analysis.mathematics.verdict import told
from analysis.predictions import laws
from analysis.records.cell import Cell


@dataclass(frozen=True)
class LawRow:
    """One law beside one measurement.

    Attributes:
        cell: Loss, m and initial η.
        learning_rate_used: η of the excursion.
        prediction: Name of the law.
        target: Quantity it predicts.
        bn_mode: Of the excursion.
        sampler: Of the excursion.
        measured_by: `fork` or `tail`.
        num_steps: Last step of the window; None for a tail.
        predicted: What the law says; NaN where it could not be computed.
        predicted_stderr: NaN when not known.
        measured: What was found.
        measured_stderr: NaN when not known.
        log_ratio: ln(measured/predicted) with its interval; NaN when one of them is not positive.
        verdict: As recorded for this row; None without an interval.
        is_valid: Whether the law's checked assumptions are met.
        reason: What is broken, or else matters.
        reasons: Its sentences.
    """

    cell: Cell
    learning_rate_used: float
    prediction: str
    target: str
    bn_mode: str
    sampler: str
    measured_by: str
    num_steps: int | None
    predicted: float
    predicted_stderr: float
    measured: float
    measured_stderr: float
    log_ratio: Interval
    verdict: str | None
    is_valid: bool
    reason: str
    reasons: tuple[str, ...] = ()

    @property
    def has_ratio(self) -> bool:
        """Whether measured/predicted is a positive number."""
        return math.isfinite(self.log_ratio.value)

    @property
    def told(self) -> str | None:
        """Its verdict in a word: `holds`, `fails`, `undecided`; `agrees` where it would hold and is not valid."""
        return told(self.verdict, is_valid=self.is_valid)

    @property
    def excursion(self) -> tuple[Cell, str, str, str, float]:
        """What tells excursions apart: the cell, how it was measured, and η."""
        return (self.cell, self.measured_by, self.bn_mode, self.sampler, self.learning_rate_used)


def law_rows(predictions: pd.DataFrame) -> list[LawRow]:
    """Read the rows of view `predictions` in which something was measured."""
    measured = predictions[predictions["measured"].notna()]
    return [_row(row) for row in measured.to_dict("records")]


def at_the_end(rows: Sequence[LawRow]) -> list[LawRow]:
    """Keep of every law and excursion what was measured last: a tail, or the longest window."""
    longest: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row.prediction, row.target, *row.excursion)
        longest[key] = max(longest.get(key, 0), row.num_steps or 0)
    return [
        row
        for row in rows
        if (row.num_steps or 0) == longest[(row.prediction, row.target, *row.excursion)]
    ]


def where_they_speak(rows: Sequence[LawRow]) -> list[LawRow]:
    """Keep every window for laws that speak of it; for laws of the stationary state the end alone."""
    timed = [row for row in rows if laws()[row.prediction].windows == "every"]
    others = [row for row in rows if laws()[row.prediction].windows == "longest"]
    return [*at_the_end(others), *timed]


def _row(row: dict[Any, Any]) -> LawRow:
    low, high = _number(row["log_ratio_low"]), _number(row["log_ratio_high"])
    steps = _number(row["num_steps"])
    return LawRow(
        cell=Cell(str(row["loss"]), int(row["batch_size"]), float(row["learning_rate"])),
        learning_rate_used=float(row["learning_rate_used"]),
        prediction=str(row["prediction"]),
        target=str(row["target"]),
        bn_mode=str(row["bn_mode"]),
        sampler=str(row["sampler"]),
        measured_by=str(row["measured_by"]),
        num_steps=None if steps is None else int(steps),
        predicted=_or_nan(row["predicted"]),
        predicted_stderr=_or_nan(row["predicted_stderr"]),
        measured=float(row["measured"]),
        measured_stderr=_or_nan(row["measured_stderr"]),
        log_ratio=Interval(_or_nan(row["log_ratio"]), low, high),
        verdict=None if pd.isna(row["verdict"]) else str(row["verdict"]),
        is_valid=bool(row["valid"]) if not pd.isna(row["valid"]) else False,
        reason="" if pd.isna(row["reason"]) else str(row["reason"]),
        reasons=() if row["reasons"] is None else tuple(map(str, row["reasons"])),
    )


def _number(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(str(value))  # type: ignore[call-overload]  # a scalar


def _or_nan(value: object) -> float:
    number = _number(value)
    return math.nan if number is None else number
