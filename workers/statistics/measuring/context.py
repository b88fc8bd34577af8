"""What a statistic is given: the kept model, its data and loss, and ways to keep what it found."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras

from workers.contract.settings import Objective
from workers.contract.specs import TrialSpec
from workers.datasets.dataset import Dataset, Split
from workers.losses.loss import Loss
from workers.resumable.keeping import Partials, Shared, SharedInMemory
from workers.training.seeding import measuring_seed


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
