"""Randomness of training as a pure function of (seed, epoch) or (seed, step).

No generator carries state from one step to the next, so that training resumed anywhere draws what
training straight through would have drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.specs import Sampler


def epoch_order(
    seed: int, epoch: int, *, num_train: int, sampler: Sampler
) -> npt.NDArray[np.int32]:
    """Draw the examples of one epoch [N] in the order they are visited.

    `shuffle` visits each example once; `replacement` draws each visit independently and uniformly.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    if sampler == "shuffle":
        return generator.permutation(num_train).astype(np.int32)
    return generator.integers(0, num_train, size=num_train, dtype=np.int32)


def augmentation_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Give the seed [2] of TensorFlow's stateless random operations at one step."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
