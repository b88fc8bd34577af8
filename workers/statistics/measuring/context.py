"""What a statistic is given: the kept model, its data and loss, and ways to keep what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, final

import keras
import numpy as np
import numpy.typing as npt

from workers.contract.specs import TrialSpec
from workers.contract.statistics import Objective
from workers.datasets.dataset import Dataset, Split
from workers.losses.loss import Loss
from workers.training.seeding import measuring_seed

Arrays = Mapping[str, npt.NDArray[np.generic]]
"""Arrays by name."""

Partial = Arrays
"""Everything a half-done measurement needs to go on."""


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


class Shared(Protocol):
    """Keeps what one statistic of a trial found and the others need too.

    What is kept must follow from the trial's weights and data alone: nobody can tell who found it.
    """

    def find(self, key: str) -> Arrays | None:
        """Give what any statistic of the same trial kept under this key; None if nothing sound."""
        ...

    def keep(self, key: str, found: Arrays) -> None:
        """Keep something for the others."""
        ...


@final
class SharedInMemory:
    """Shares between the statistics that are given one context, without a store."""

    def __init__(self) -> None:
        self._kept: dict[str, Arrays] = {}

    def find(self, key: str) -> Arrays | None:
        """Give what was kept under this key."""
        return self._kept.get(key)

    def keep(self, key: str, found: Arrays) -> None:
        """Keep something for the others."""
        self._kept[key] = found


@dataclass(frozen=True)
class MeasurementContext:
    """Everything a statistic may use; it must leave the model's weights as they were.

    Attributes:
        model: The kept one.
        dataset: What it was trained on, and its test split.
        loss: It was trained with.
        trial: How it was trained.
        partials: Keeps the partial sums of this statistic.
        shared: Keeps what all statistics of the trial need.
    """

    model: keras.Model
    dataset: Dataset
    loss: Loss
    trial: TrialSpec
    partials: Partials
    shared: Shared = field(default_factory=SharedInMemory)

    def split(self, name: str) -> Split:
        """Give a split of the data by name, `train` or `test`."""
        found: Split = getattr(self.dataset, name)
        return found

    def seed(self, seed: int) -> int:
        """Return the seed of this trial's draws for a statistic's `probe_seed` or `stream_seed`.

        Every random number of a measurement must follow from it, so that the trials of a cell err
        independently of one another.
        """
        return measuring_seed(self.trial, seed)

    def weight_decay(self, objective: Objective) -> float:
        """Give the strength of L2 in an objective; `data` has none."""
        return self.trial.training.weight_decay if objective == "total" else 0.0
