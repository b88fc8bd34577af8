"""View `predictions`: every law applied to every cell, beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyarrow as pa

from analysis.cell_states import CellState
from analysis.cell_values import BN_MODE, SeedValues, whole_model_values
from analysis.cells import finite_or_none
from analysis.load import Cell, SweepData, groups_by_cell
from analysis.predictions.law import CellConditions, Prediction
from analysis.predictions.registry import LAWS
from workers.contract.schema import VIEWS
from workers.contract.specs import TrainingSpec

_TRACES = ("gradient_noise_trace", "hessian_trace")
_TARGETS = {"excess_loss": "excess loss", "expected_gradient_norm_squared": "E‖∇L‖²"}
"""What a law may predict, with the words for it."""


def predictions(data: SweepData, states: Mapping[Cell, CellState]) -> pa.Table:
    """Apply every law to every cell.

    A law is `valid` when it could be computed and none of the assumptions checked is broken;
    `reason` says what is broken, what was not measured, and what else matters.
    """
    training = _training_by_cell(data)
    values = {name: total_values(data, name, training) for name in (*_TRACES, *_TARGETS)}
    rows = []
    for cell, state in states.items():
        here = {name: by_cell[cell] for name, by_cell in values.items() if cell in by_cell}
        conditions = CellConditions(cell, state, training[cell], here)
        rows += [_row(data.plan.sweep, conditions, law(conditions)) for law in LAWS.values()]
    return pa.Table.from_pylist(rows, schema=VIEWS["predictions"])


def total_values(
    data: SweepData, quantity: str, training: Mapping[Cell, TrainingSpec]
) -> dict[Cell, SeedValues]:
    """Collect a quantity of the total objective, data loss + (weight_decay/2)·‖θ_decayed‖².

    Where that is the data objective, values of the latter serve: without weight decay always, and
    for tr σ² always, as L2 shifts every example's gradient alike and the covariance is centred.
    """
    found = whole_model_values(data, quantity, objective="total")
    for cell, values in whole_model_values(data, quantity, objective="data").items():
        if quantity == "gradient_noise_trace" or training[cell].weight_decay == 0:
            found.setdefault(cell, values)
    return found


def _training_by_cell(data: SweepData) -> dict[Cell, TrainingSpec]:
    by_trial = {item.trial_id: item.trial.training for item in data.plan.trials}
    return {
        cell: by_trial[group["trial_id"].iloc[0]] for cell, group in groups_by_cell(data.planned)
    }


def _row(sweep: str, conditions: CellConditions, answer: Prediction) -> dict[str, object]:
    measured = conditions.values.get(answer.target)
    value = measured.estimate.mean if measured else None
    return {
        "sweep": sweep,
        "loss": conditions.cell.loss,
        "batch_size": conditions.cell.batch_size,
        "learning_rate": conditions.cell.learning_rate,
        "learning_rate_used": answer.learning_rate_used,
        "prediction": answer.name,
        "target": answer.target,
        "statistic_id": answer.statistic_id,
        "bn_mode": BN_MODE,
        "sampler": conditions.training.sampler,
        "num_steps": answer.num_steps,
        "predicted": answer.predicted,
        "predicted_stderr": answer.predicted_stderr,
        "measured": value,
        "measured_stderr": finite_or_none(measured.estimate.stderr) if measured else None,
        "measured_by": measured.statistic if measured else None,
        "log_ratio": _log_ratio(value, answer.predicted),
        "valid": answer.predicted is not None and not answer.faults,
        "reason": _reason(conditions, answer, is_measured=measured is not None),
    }


def _log_ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or predicted is None or measured <= 0 or predicted <= 0:
        return None
    return math.log(measured / predicted)


def _reason(conditions: CellConditions, answer: Prediction, *, is_measured: bool) -> str | None:
    parts = list(answer.faults)
    if not is_measured:
        parts.append(f"{_TARGETS[answer.target]} was not measured")
    if not conditions.state.is_complete:
        parts.append(f"the cell is incomplete: {conditions.state.sentence}")
    parts += answer.remarks
    return "; ".join(parts) or None
