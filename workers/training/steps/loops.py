"""The compiled loops of training, which serve one trial after the other of a kind."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import keras
import tensorflow as tf

from workers.contract.specs import TrialSpec
from workers.datasets.dataset import Dataset
from workers.losses.loss import Loss
from workers.network.resident import find_resident
from workers.process.built import Built
from workers.training.steps.batches import is_ragged
from workers.training.steps.evaluation import CompiledEvaluation
from workers.training.steps.sgd import CompiledSGD


@dataclass(frozen=True)
class TrainingLoops:
    """A network, its steps and its evaluation, compiled once.

    Attributes:
        model: The network that is trained.
        sgd: Its steps.
        evaluation: Its mean loss on the test split.
    """

    model: keras.Model
    sgd: CompiledSGD
    evaluation: CompiledEvaluation

    @classmethod
    def compile(
        cls, model: keras.Model, loss: Loss, dataset: Dataset, trial: TrialSpec, built: Built
    ) -> TrainingLoops:
        """Prepare the loops of a network; they are traced when they first run.

        Args:
            model: Of the trial.
            loss: Of the trial.
            dataset: Of the trial; it is kept on the device.
            trial: Of whose learning rate and seed nothing is compiled in.
            built: Where data on the device are found and kept.
        """
        train = find_resident(dataset, trial.dataset, "train", built)
        test = find_resident(dataset, trial.dataset, "test", built)
        has_ragged_batch = is_ragged(trial, len(dataset.train))
        return cls(
            model,
            CompiledSGD(model, loss, train, trial, has_ragged_batch=has_ragged_batch),
            CompiledEvaluation(model, loss, test),
        )

    def begin(self, model: keras.Model) -> None:
        """Take the weights of a trial's own network, and no velocity."""
        _copy_weights(model, self.model)
        for velocity in self.sgd.velocity:
            velocity.assign(tf.zeros_like(velocity))

    def end(self, model: keras.Model) -> None:
        """Give the weights to the trial's own network."""
        _copy_weights(self.model, model)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that training changes."""
        return [variable.value for variable in self.model.variables] + self.sgd.velocity


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy weights, and the states of generators, between networks built from one spec."""
    if source is not target:
        for taken, given in zip(target.variables, source.variables, strict=True):
            taken.assign(given.value)


def kind_of_loops(trial: TrialSpec) -> Hashable:
    """Return what trials have in common that can share loops: everything but learning rate and seed."""
    return "training", trial.model_dump_json(exclude={"learning_rate", "seed"})
