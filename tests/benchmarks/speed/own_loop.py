"""The project's own loop, as trials run it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from contender import LEARNING_RATE, NUM_EXAMPLES, Job, Steps

from workers.attempts.attempt import make_loss
from workers.contract.specs import TrainingSpec, TrialSpec
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec, build
from workers.network.precision import built_in
from workers.network.resident import ResidentSplit
from workers.process.environment import prepare
from workers.training.steps import tally
from workers.training.steps.sgd import CompiledSGD


def make(job: Job) -> Steps:
    """Build network and loop."""
    prepare(job.threads, uses_gpu=bool(tf.config.list_physical_devices("GPU")))
    draw = np.random.default_rng(0)
    split = ResidentSplit(
        inputs=tf.constant(draw.integers(0, 256, (NUM_EXAMPLES, 32, 32, 3), dtype=np.uint8)),
        targets=tf.one_hot(draw.integers(0, 10, NUM_EXAMPLES), 10),
        offset=tf.constant(np.full(3, 127.5, np.float32)),
        scale=tf.constant(np.full(3, 1 / 64, np.float32)),
    )
    trial = TrialSpec(
        model=ResNetSpec(depth=job.depth),
        dataset=Cifar10Spec(num_train=NUM_EXAMPLES),
        data_digest="random pixels",
        loss="kld",
        training=TrainingSpec(epochs=1),
        batch_size=job.batch_size,
        learning_rate=LEARNING_RATE,
        seed=0,
    )
    with built_in("float32" if job.precision == "float32" else "mixed_bfloat16"):
        model = build(trial.model, (32, 32, 3), 10, 0)
    sgd = CompiledSGD(model, make_loss("kld"), split, trial, has_ragged_batch=False)
    sums = tally.empty()

    def steps(count: int) -> None:
        batches = draw.integers(0, NUM_EXAMPLES, (count, job.batch_size), dtype=np.int32)
        sgd.run(batches, sums, seed=0, first_step=0, learning_rate=LEARNING_RATE)

    return steps
