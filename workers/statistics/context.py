"""What a statistic is given: the kept model, its data and loss, and a way to save partial sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt

from workers.contract.specs import TrialSpec
from workers.datasets.dataset import Dataset
from workers.losses.loss import Loss

Partial = Mapping[str, npt.NDArray[np.generic]]
"""Everything a half-done measurement needs to go on, as arrays by name."""


class Partials(Protocol):
    """Keeps the partial sums of a long measurement, so that a killed one goes on."""

    def restore(self, key: str) -> Partial | None:
        """Give what was saved last under this key by any attempt of the same work; None if nothing."""
        ...

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        """Report progress; save at the cadence.

        Raises:
            Drained: A stop was asked for; the partial has been saved.
        """
        ...


@dataclass(frozen=True)
class MeasurementContext:
    """Everything a statistic may use; it must leave the model's weights as they were."""

    model: keras.Model
    dataset: Dataset
    loss: Loss
    trial: TrialSpec
    partials: Partials
