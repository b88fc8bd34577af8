"""Train a network to the end in this process, without a store: no record, no checkpoint, no request to stop."""

from __future__ import annotations

import math
import tempfile
import time

import keras

from workers.attempts.attempt import make_loss
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.datasets.dataset import Dataset
from workers.resumable.checkpoint import Checkpoints
from workers.resumable.pulse import Pulse
from workers.training.loop import Trained, Trainer, TrainingJob

_CHUNK_SECONDS = 5.0


def train_unrecorded(trial: TrialSpec, model: keras.Model, dataset: Dataset) -> Trained:
    """Train the network, whose weights change, as an attempt would.

    Raises:
        UserError: The data do not fit the trial.
    """
    pulse = Pulse(
        should_stop=lambda: False,
        report=lambda _: None,
        clock=time.monotonic,
        chunk_seconds=_CHUNK_SECONDS,
        checkpoint_seconds=math.inf,
    )
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob("unrecorded", trial, model, dataset, make_loss(trial.loss))
        place = Store.open(folder)
        checkpoints = Checkpoints(place, "checkpoints/unrecorded", attempt_id="only", conditions={})
        return Trainer(job, checkpoints, pulse).run()
