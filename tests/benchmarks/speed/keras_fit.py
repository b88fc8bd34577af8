"""Keras' own `fit` on the project's network, with compilation by XLA and without."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from contender import LEARNING_RATE, NUM_EXAMPLES, Job, Steps

from workers.models.resnet import ResNetSpec, build
from workers.network.precision import built_in


def make(job: Job) -> Steps:
    """Build and compile the network."""
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    with built_in("float32" if job.precision == "float32" else "mixed_bfloat16"):
        model = build(ResNetSpec(depth=job.depth), (32, 32, 3), 10, 0)
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=job.name == "keras-jit",
    )
    draw = np.random.default_rng(0)
    images = draw.normal(size=(NUM_EXAMPLES, 32, 32, 3)).astype(np.float32)
    labels = draw.integers(0, 10, NUM_EXAMPLES)

    def steps(count: int) -> None:
        chosen = draw.integers(0, NUM_EXAMPLES, count * job.batch_size)
        model.fit(images[chosen], labels[chosen], batch_size=job.batch_size, verbose=0)

    return steps
