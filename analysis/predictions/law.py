"""What a law is given about a cell, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.cell_states import CellState
from analysis.cell_values import SeedValues
from analysis.load import Cell
from workers.contract.quantities import GLOSSARY
from workers.contract.specs import TrainingSpec

NO_STATIONARY_STATE = "without weight decay the loss has no stationary state: ‖θ‖ grows for ever"
SHUFFLED = (
    "epochs are shuffled: the noise of their batches is anti-correlated, "
    "and flat directions vary less than the law says"
)


@dataclass(frozen=True)
class CellConditions:
    """Everything a law may use.

    Attributes:
        cell: Loss, batch size m and initial learning rate.
        state: What is done, and η in the last epoch of the schedule.
        training: Momentum, weight decay, sampler, shared by all trials of the cell.
        values: Whole-model values of the total objective (with L2) by quantity: training split,
            frozen batch normalisation.
    """

    cell: Cell
    state: CellState
    training: TrainingSpec
    values: Mapping[str, SeedValues]


@dataclass(frozen=True)
class Prediction:
    """What a law says about one cell.

    Attributes:
        name: The law.
        target: The quantity it predicts.
        learning_rate_used: η in its formula.
        statistic_id: Where the measured trace came from; None when there is none.
        predicted: None when it could not be computed.
        predicted_stderr: From the spread over seeds; None when unknown.
        num_steps: T for laws of finite time, else None.
        faults: Why the law cannot be expected to hold here; empty when it can.
        remarks: What else a reader must know.
    """

    name: str
    target: str
    learning_rate_used: float
    statistic_id: str | None
    predicted: float | None
    predicted_stderr: float | None
    num_steps: int | None
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


Law = Callable[[CellConditions], Prediction]


def quarter_trace_law(name: str, quantity: str, conditions: CellConditions) -> Prediction:
    """Predict the excess loss (η/4m)·t from a measured trace t.

    η is the final learning rate of the schedule, at which the excess loss stands. The prefactor is
    exactly known, so stderr = (η/4m)·stderr(t) over seeds (delta method, exact for a product).
    """
    learning_rate = conditions.state.final_learning_rate
    measured = conditions.values.get(quantity)
    faults = [*_broken_assumptions(conditions)]
    predicted = stderr = None
    if measured is None:
        faults.insert(0, f"{GLOSSARY[quantity].symbol} was not measured")
    else:
        trace = measured.estimate.scaled(learning_rate / (4 * conditions.cell.batch_size))
        predicted = trace.mean
        stderr = trace.stderr if math.isfinite(trace.stderr) else None
    return Prediction(
        name=name,
        target="excess_loss",
        learning_rate_used=learning_rate,
        statistic_id=None if measured is None else measured.statistic_id,
        predicted=predicted,
        predicted_stderr=stderr,
        num_steps=None,
        faults=tuple(faults),
        remarks=(SHUFFLED,) if conditions.training.sampler == "shuffle" else (),
    )


def _broken_assumptions(conditions: CellConditions) -> list[str]:
    training, state = conditions.training, conditions.state
    broken = []
    if training.weight_decay == 0 and conditions.cell.loss != "squared_error":
        broken.append(NO_STATIONARY_STATE)
    if training.momentum != 0:
        broken.append(f"the law is for plain SGD, and momentum is {training.momentum}")
    if state.num_diverged:
        broken.append(f"{state.num_diverged} of {state.num_seeds} seeds diverged")
    return broken
