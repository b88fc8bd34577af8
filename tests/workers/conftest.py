"""Toy data, trials and pulses for the tests of training."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from workers.contract import identity
from workers.contract.orders import Order
from workers.contract.records import TrialRecord, table
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.contract.store import Store
from workers.datasets.dataset import Dataset, Split, digest_of, one_hot
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec


@pytest.fixture(scope="session")
def toy_dataset():
    """50 training and 20 test images of 8 × 8 pixels in 3 classes that can be told apart."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 70)
    prototypes = generator.integers(0, 256, (3, 8, 8, 1))
    noise = generator.integers(-40, 40, (70, 8, 8, 1))
    images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
    targets = one_hot(labels, 3)
    train, test = Split(images[:50], targets[:50]), Split(images[50:], targets[50:])
    offset, scale = np.float32([128.0]), np.float32([1 / 64])
    return Dataset(
        train, test, offset, scale, is_classification=True, digest=digest_of(train, test)
    )


@pytest.fixture
def make_trial(toy_dataset):
    """Make the spec of a trial of a perceptron on the toy data; training options by name."""

    def make(
        *,
        model=None,
        batch_size=8,
        learning_rate=0.05,
        loss="kld",
        dataset=None,
        seed=3,
        **training,
    ):
        return TrialSpec(
            model=model or MLPSpec(hidden_units=[5]),
            dataset=dataset or DigitsSpec(),
            data_digest=toy_dataset.digest,
            loss=loss,
            training=TrainingSpec(**{"epochs": 3, **training}),
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
        )

    return make


@pytest.fixture
def make_job(toy_dataset, make_trial):
    """Make a training job with a network at its initial weights."""
    from workers.attempts.attempt import make_loss
    from workers.attempts.kept_model import build_model
    from workers.training.loop import TrainingJob

    def make(*, dataset=toy_dataset, **options):
        trial = make_trial(**options)
        model = build_model(trial, dataset, trial.training.precision)
        return TrainingJob("trial", trial, model, dataset, make_loss(trial.loss))

    return make


@pytest.fixture
def make_pulse():
    """Make a pulse on a clock that ticks a step at each look, stopping at the nth question."""
    from workers.resumable.pulse import Pulse

    def make(
        *, stop_at=None, tick_seconds=0.1, chunk_seconds=0.5, checkpoint_seconds=1e9, report=None
    ):
        ticks, questions = itertools.count(), itertools.count(1)
        return Pulse(
            should_stop=lambda: next(questions) == stop_at,
            report=report or (lambda progress: None),
            clock=lambda: next(ticks) * tick_seconds,
            chunk_seconds=chunk_seconds,
            checkpoint_seconds=checkpoint_seconds,
        )

    return make


@pytest.fixture
def store(tmp_path):
    """An empty local store."""
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def make_checkpoints(store):
    """Make the checkpoints of one attempt at one work."""
    from workers.resumable.checkpoint import Checkpoints

    def make(attempt_id="first", **conditions):
        return Checkpoints(
            store,
            "checkpoints/work",
            attempt_id=attempt_id,
            conditions={"environment_id": "here", **conditions},
        )

    return make


@pytest.fixture
def make_order(tmp_path, make_trial, store):
    """Make an order on scikit-learn's digits, with right identities unless told otherwise."""
    from workers.datasets.checked.loading import dataset_facts

    def make(*, attempt_id="first", statistic=None, order_options=None, **options):
        trial = make_trial(dataset=DigitsSpec(num_train=100), **options)
        digest = dataset_facts(trial.dataset, None).digest
        trial = trial.model_copy(update={"data_digest": digest})
        scratch = Path(tmp_path / "scratch" / attempt_id)
        scratch.mkdir(parents=True, exist_ok=True)
        fields = {
            "trial": trial,
            "trial_id": identity.trial_id(trial),
            "statistic": statistic,
            "statistic_id": identity.statistic_id(statistic) if statistic else None,
            "attempt_id": attempt_id,
            "store": store.uri,
            "scratch": str(scratch),
        }
        return Order(**fields | (order_options or {}))

    return make


@pytest.fixture
def trial_rows():
    """Make the one-row `trials` table of an attempt."""

    def make(trial_id="t1", attempt_id="a1", weights_sha256="w", **changes) -> pa.Table:
        fields = {
            "trial_id": trial_id, "attempt_id": attempt_id, "model": "resnet", "depth": 8,
            "dataset": "digits", "data_digest": "d", "num_train": 1437, "num_params": 10,
            "loss": "kld", "batch_size": 100, "learning_rate": 0.1, "final_learning_rate": 0.001,
            "seed": 0, "momentum": 0.0, "weight_decay": 0.0, "epochs": 2, "outcome": "converged",
            "converged_at_epoch": None, "train_loss": 0.25, "train_accuracy": 0.5,
            "validation_loss": float("nan"), "validation_accuracy": None,
            "weights_sha256": weights_sha256, "wall_seconds": 1.5, "device": "CPU",
            "device_share": 0.0, "host": "h", "environment_id": "e", "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "finished_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "spec": "{}",
        }  # fmt: skip
        return table("trials", [TrialRecord(**(fields | changes))])

    return make
