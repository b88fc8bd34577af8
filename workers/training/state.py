"""The state of training but for the weights, and how both are written into a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.records import EpochRecord
from workers.resumable.checkpoint import Arrays
from workers.training.steps import tally


@dataclass(frozen=True)
class TrainingState:
    """A point between two steps.

    Attributes:
        step: Number of updates done.
        records: The finished epochs; the current one has the next number.
        sums: Tally [3] of the current epoch.
        epoch_seconds: Time spent on the current epoch, over all attempts.
        seconds: Time spent on all epochs, over all attempts.
        initial_loss: Mean training loss of the first step; NaN before it.
    """

    step: int = 0
    records: tuple[EpochRecord, ...] = ()
    sums: tally.Tally = field(default_factory=tally.empty)
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    initial_loss: float = float("nan")

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return len(self.records)


def to_arrays(
    state: TrainingState, variables: Sequence[tf.Variable]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return a state and its variables (weights, velocity), each in its shape [...], by name."""
    numbers = [state.epoch_seconds, state.seconds, state.initial_loss]
    records = json.dumps([record.model_dump() for record in state.records])
    return {
        "step": np.array(state.step, np.int64),
        "numbers": np.array(numbers),
        "sums": state.sums,
        "records": np.array(records),
        **{_name(place): variable.numpy() for place, variable in enumerate(variables)},
    }


def from_arrays(arrays: Arrays, variables: Sequence[tf.Variable]) -> TrainingState:
    """Read a state from arrays [...] by name, and set the variables."""
    for place, variable in enumerate(variables):
        variable.assign(arrays[_name(place)])
    epoch_seconds, seconds, initial_loss = (float(number) for number in arrays["numbers"])
    rows = json.loads(str(arrays["records"]))
    return TrainingState(
        step=int(arrays["step"]),
        records=tuple(EpochRecord.model_validate(row) for row in rows),
        sums=np.asarray(arrays["sums"], np.float64),
        epoch_seconds=epoch_seconds,
        seconds=seconds,
        initial_loss=initial_loss,
    )


def _name(place: int) -> str:
    return f"variable-{place:05d}"
