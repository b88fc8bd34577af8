"""Networks after a short training by the project's own loop, with all that a statistic is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np
from dense.comparisons import Comparison
from dense.networks import IMAGE, NUM_CLASSES, Network
from dense.reference import Function, Reference, population_moments

from workers.contract.records import Measurement
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.dataset import Dataset, Split, one_hot
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec
from workers.statistics.measuring.context import MeasurementContext

NUM_TRAIN, NUM_TEST = 48, 20
BATCH_SIZE = 8
WEIGHT_DECAY = 0.02


def make_dataset(num_train: int) -> Dataset:
    """Make images of 8 × 8 × 3 in four classes that overlap, so that some are not learned."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, NUM_CLASSES, num_train + NUM_TEST)
    prototypes = generator.integers(60, 196, (NUM_CLASSES, *IMAGE))
    noise = generator.normal(0, 60, (len(labels), *IMAGE))
    images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
    targets = one_hot(labels, NUM_CLASSES)
    train = Split(images[:num_train], targets[:num_train])
    test = Split(images[num_train:], targets[num_train:])
    offset, scale = np.full(3, 128, np.float32), np.full(3, 1 / 64, np.float32)
    return Dataset(train, test, offset, scale, is_classification=True, digest="none")


def make_trial(loss: str) -> TrialSpec:
    """Specify a training; its model and data set are given by hand."""
    return TrialSpec(
        model=MLPSpec(),
        dataset=DigitsSpec(),
        data_digest="none",
        loss=loss,
        training=TrainingSpec(epochs=6, weight_decay=WEIGHT_DECAY),
        batch_size=BATCH_SIZE,
        learning_rate=0.05,
        seed=0,
    )


@dataclass(frozen=True)
class Subject:
    """A trained network to be measured with one loss.

    Attributes:
        name: Of the network.
        network: Its two sides.
        model: In Keras, trained.
        context: What a statistic is given.
    """

    name: str
    network: Network
    model: keras.Model
    context: MeasurementContext
    _references: dict[str, Reference] = field(default_factory=dict)

    @cached_property
    def in_training(self) -> Function:
        """The network whose batch norms take the moments of the examples they are given."""
        weights = {weight.path: weight.value.numpy() for weight in self.model.weights}
        return Function(
            self.network.outputs, weights, self.network.untrained, self.context.trial.loss, {}
        )

    @cached_property
    def function(self) -> Function:
        """The network with the population's moments."""
        free = self.in_training
        moments = population_moments(free, self.images("train"))
        return Function(free.outputs, free.weights, free.untrained, free.loss, moments)

    def images(self, split: str) -> np.ndarray:
        """Give x [N, 8, 8, 3] as the network gets them; float32 holds them exactly."""
        return (self.context.split(split).inputs - 128.0) / 64

    def reference(self, split: str) -> Reference:
        """Give the dense values of a split."""
        if split not in self._references:
            targets = self.context.split(split).targets
            self._references[split] = Reference.of(self.function, self.images(split), targets)
        return self._references[split]

    def decay(self, objective: str) -> float:
        """Strength of L2 in an objective."""
        return WEIGHT_DECAY if objective == "total" else 0.0

    def compare(self, rows: list[Measurement], statistic: str) -> Iterator[Comparison]:
        """Hold every row without an index against the reference; all layers must be there, and no other."""
        rows = [row for row in rows if row.index is None]
        self._check_layers(rows)
        for row in rows:
            reference, decay = self.reference(row.split), self.decay(row.objective)
            expected = reference.value(row.quantity, row.layer, decay)
            yield self.comparison(row, statistic, expected, scale=self._scale(row, rows))

    def comparison(
        self, row: Measurement, statistic: str, expected: float, **options: float
    ) -> Comparison:
        """Hold one row against a value."""
        what = (row.quantity, row.layer, row.index, row.objective, row.split, row.method)
        case = f"{self.name} {self.context.trial.loss}"
        stderr = row.stderr or 0.0
        return Comparison(case, statistic, what, row.value, stderr, expected, **options)

    def _check_layers(self, rows: list[Measurement]) -> None:
        found = {row.layer for row in rows if row.layer is not None}
        trained = self.reference("train").layer_names
        assert found in (set(), trained), f"layers {sorted(found)}, trained {sorted(trained)}"

    def _scale(self, row: Measurement, rows: list[Measurement]) -> float:
        """Find the largest of the reference's values of the same kind."""
        reference, decay = self.reference(row.split), self.decay(row.objective)
        if row.layer is None and not any(
            each.layer for each in rows if each.quantity == row.quantity
        ):
            return 0.0
        values = [
            reference.value(row.quantity, layer, decay) for layer in reference.layer_names | {None}
        ]
        return max(map(abs, values))
