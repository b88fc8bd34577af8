"""What a statistic receives: the kept model, its data and loss, and storage for its results."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras

from workers.contract.settings import Objective
from workers.contract.specs import TrialSpec
from workers.datasets.dataset import Dataset, Split
from workers.losses.loss import Loss
from workers.process.built import Built
from workers.resumable.keeping import Partials, Shared, SharedInMemory
from workers.training.seeding import measuring_seed


@dataclass(frozen=True)
class MeasurementContext:
    """Everything that a statistic may use; the model's weights must be left unchanged.

    Attributes:
        model: The kept model.
        dataset: The data it was trained on, with the test split.
        loss: The loss it was trained with.
        trial: How it was trained.
        partials: Storage for the partial sums of this statistic.
        shared: Storage for what all statistics of the trial need.
        built: What this process has built to measure networks of this trial's kind before, for a built-in
            statistic; None to build everything anew.
    """

    model: keras.Model
    dataset: Dataset
    loss: Loss
    trial: TrialSpec
    partials: Partials
    shared: Shared = field(default_factory=SharedInMemory)
    built: Built | None = None

    def split(self, name: str) -> Split:
        """Return a split of the data by name, `train` or `test`."""
        found: Split = getattr(self.dataset, name)
        return found

    def seed(self, seed: int) -> int:
        """Return the seed of this trial's draws for a statistic's `probe_seed` or `stream_seed`.

        Every random number of a measurement must follow from it, so that the errors of a cell's
        trials are independent of one another.
        """
        return measuring_seed(self.trial, seed)

    def weight_decay(self, objective: Objective) -> float:
        """Return the weight decay of an objective; `data` has none."""
        return self.trial.training.weight_decay if objective == "total" else 0.0
