"""A ResNet trained for a few epochs on a few thousand images by the project's own training loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras

from workers.attempts import kept_model
from workers.attempts.train_unrecorded import train_unrecorded
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.dataset import Dataset
from workers.models.resnet import ResNetSpec

_NUM_VALIDATION = 100
"""Enough to evaluate something each epoch; the benchmark does not read it."""


def trained_resnet(dataset: Dataset, *, depth: int, epochs: int, kept: Path | None) -> keras.Model:
    """Train, or read the network kept in a file by an earlier run; keep it there.

    Batches of 50, η = 0.05 lowered tenfold after 2/3 and 5/6 of the epochs, momentum 0.9.
    """
    trial = short_trial(dataset, depth=depth, epochs=epochs)
    if kept is not None and kept.is_file():
        return kept_model.from_bytes(kept.read_bytes(), trial)
    model = kept_model.build_model(trial, dataset, "float32")
    _train(trial, model, replace(dataset, test=dataset.test.first(_NUM_VALIDATION)))
    if kept is not None:
        kept.write_bytes(kept_model.to_bytes(model))
    return model


def short_trial(dataset: Dataset, *, depth: int, epochs: int) -> TrialSpec:
    """Give the spec of the training."""
    return TrialSpec(
        model=ResNetSpec(depth=depth),
        dataset=Cifar10Spec(num_train=len(dataset.train)),
        data_digest=dataset.digest,
        loss="kld",
        training=TrainingSpec(
            epochs=epochs, milestones=sorted({2 * epochs // 3, 5 * epochs // 6} - {0}), momentum=0.9
        ),
        batch_size=50,
        learning_rate=0.05,
        seed=0,
    )


def _train(trial: TrialSpec, model: keras.Model, dataset: Dataset) -> None:
    records = train_unrecorded(trial, model, dataset).records
    last = records[-1]
    print(
        f"trained {len(records)} epochs in {sum(each.seconds for each in records):.0f} s: "
        f"train loss {last.train_loss:.3g}, accuracy {last.train_accuracy:.1%}"
    )
