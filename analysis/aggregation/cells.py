"""View `cells`: one row per cell, with its state and the whole-model quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyarrow as pa

from analysis.records.cell import Cell
from analysis.records.cell_states import CellState
from analysis.records.cell_values import EXCURSION_QUANTITIES, whole_model_values
from analysis.records.load import SweepData
from analysis.records.seed_values import SeedValues
from workers.contract.schema import CELL_QUANTITIES, VIEWS


def cells(data: SweepData, states: Mapping[Cell, CellState]) -> pa.Table:
    """Return the row of every planned cell, incomplete ones included and flagged.

    `<quantity>_mean` and `<quantity>_stderr` are over the seeds that have a value: whole model, data
    objective, training split, frozen batch normalisation, first listed statistic that gives it.
    Quantities of an excursion of SGD are those of the total objective, the one it descends.
    """
    values = {quantity: _values(data, quantity) for quantity in CELL_QUANTITIES}
    rows = []
    for cell, state in states.items():
        row: dict[str, object] = _head(data.plan.sweep, cell, state)
        for quantity, by_cell in values.items():
            if cell in by_cell:
                estimate = by_cell[cell].estimate
                row[f"{quantity}_mean"] = estimate.value
                row[f"{quantity}_stderr"] = finite_or_none(estimate.stderr)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=VIEWS["cells"])


def _values(data: SweepData, quantity: str) -> dict[Cell, SeedValues]:
    objective = "total" if quantity in EXCURSION_QUANTITIES else "data"
    return whole_model_values(data, quantity, objective=objective)


def finite_or_none(value: float) -> float | None:
    """Return the value, or None (null in a view) where it is not finite."""
    return value if math.isfinite(value) else None


def _head(sweep: str, cell: Cell, state: CellState) -> dict[str, object]:
    return {
        "sweep": sweep,
        "loss": cell.loss,
        "batch_size": cell.batch_size,
        "learning_rate": cell.learning_rate,
        "batch_size_over_learning_rate": cell.batch_size_over_learning_rate,
        "num_train": state.num_train,
        "num_seeds": state.num_seeds,
        "num_missing": state.num_missing,
        "num_failed": state.num_failed,
        "num_diverged": state.num_diverged,
        "complete": state.is_complete,
        "environment_ids": list(state.environment_ids),
    }
