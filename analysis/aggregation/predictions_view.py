"""View `predictions`: every law applied to every excursion of every cell, beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from analysis.aggregation.cells import finite_or_none
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.prediction import Prediction, value_faults
from analysis.mathematics.log_ratio import log_ratio
from analysis.mathematics.verdict import judge
from analysis.predictions import laws
from analysis.records.seed_values import SeedValues
from workers.contract.schema import VIEWS


def predictions(sweep: str, all_conditions: Sequence[CellConditions]) -> pa.Table:
    """Apply every law to every excursion.

    A law is `valid` when it could be computed, to a number above 0, and none of the assumptions
    checked is broken; `reason` says what is broken, what was not measured, and what else matters.
    `verdict` judges the interval of the log ratio alone, so that of a law that is not valid says
    how wrong its use is. Measured and predicted are means over the same seeds, those that have
    both, where any has.
    """
    rows = [
        _row(sweep, conditions, law.name, answer)
        for conditions in all_conditions
        for law in laws().values()
        for answer in law(conditions)
    ]
    return pa.Table.from_pylist(rows, schema=VIEWS["predictions"])


def _row(sweep: str, conditions: CellConditions, law: str, answer: Prediction) -> dict[str, object]:
    excursion = conditions.excursion
    measured = excursion.values.get(answer.target)
    answer = replace(answer, faults=(*answer.faults, *value_faults(answer)))
    reasons = _reasons(conditions, answer, measured)
    both = measured.by_seed.keys() & answer.by_seed.keys() if measured else set[int]()
    if measured and both:
        measured, answer = measured.of(both), answer.of(both)
    compared = log_ratio(measured.uncertain, answer.by_seed) if measured else None
    low, high = (compared.low, compared.high) if compared else (None, None)
    return {
        "sweep": sweep,
        "loss": conditions.cell.loss,
        "batch_size": conditions.cell.batch_size,
        "learning_rate": conditions.cell.learning_rate,
        "learning_rate_used": excursion.learning_rate,
        "prediction": law,
        "target": answer.target,
        "statistic_id": answer.statistic_id,
        "bn_mode": excursion.bn_mode,
        "sampler": excursion.sampler,
        "num_steps": None if excursion.steps is None else excursion.num_steps,
        "predicted": answer.predicted,
        "predicted_stderr": answer.predicted_stderr,
        "measured": measured.estimate.value if measured else None,
        "measured_stderr": finite_or_none(measured.stderr) if measured else None,
        "measured_by": measured.statistic if measured else None,
        "log_ratio": compared.value if compared else None,
        "log_ratio_low": low,
        "log_ratio_high": high,
        "verdict": judge(low, high),
        "valid": bool(answer.by_seed) and not answer.faults and not conditions.state.earlier,
        "reason": "; ".join(reasons) or None,
        "reasons": reasons,
    }


def _reasons(
    conditions: CellConditions, answer: Prediction, measured: SeedValues | None
) -> list[str]:
    parts = [*answer.faults, *_earlier_faults(conditions)]
    num_seeds = len(conditions.trial_ids)
    if measured is None:
        parts.append(f"{TARGETS[answer.target]} was not measured")
    elif conditions.state.is_complete and len(measured.by_seed) < num_seeds:
        parts.append(
            f"{TARGETS[answer.target]} has a value in {len(measured.by_seed)} of {num_seeds} seeds, "
            "which alone count"
        )
    if not conditions.state.is_complete:
        parts.append(f"the cell is incomplete: {conditions.state.sentence}")
    return [*parts, *answer.remarks]


def _earlier_faults(conditions: CellConditions) -> list[str]:
    """Return the fault of a cell with values of an earlier numerics version, if it has any."""
    names = ", ".join(conditions.state.earlier)
    what = f"an earlier version of the numerics measured {names}"
    why = "values and errors of this one differ"
    return [f"{what}: {why}; --remeasure measures them anew"] if names else []
