"""A stream of SGD steps on a network, compiled once, with a row of numbers seen at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.specs import Sampler
from workers.resident import ResidentSplit
from workers.seeding import epoch_order
from workers.sgd_step import SGDStep

Array = npt.NDArray[np.float64]

Watch = Callable[[list[tf.Tensor]], tf.Tensor]
"""Gives a row of float64 numbers from one tensor a parameter."""

CHUNK_STEPS = 32
"""Steps without a pause: what is lost at most by a kill, beside the cadence."""


def squared_norm(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Give ‖·‖² of a vector in pieces, float64."""
    return tf.add_n([tf.cast(tf.reduce_sum(tf.square(each)), tf.float64) for each in tensors])


@final
class CompiledStream:
    """Steps of SGD on the network that an `SGDStep` holds; the bits do not depend on the chunks.

    Args:
        sgd_step: Whose network moves.
        split: The training set.
        batch_size: m.
        watch: What is seen of the directions of each step, before the weights move.
        num_seen: K, all numbers seen at a step.
        watch_moves: What is seen of the new velocity, after them; stands last in the row.
    """

    def __init__(
        self,
        sgd_step: SGDStep,
        split: ResidentSplit,
        batch_size: int,
        watch: Watch,
        num_seen: int,
        *,
        watch_moves: Watch | None = None,
    ) -> None:
        self._sgd_step, self._split = sgd_step, split
        self._watch, self._num_seen, self._watch_moves = watch, num_seen, watch_moves
        signature = [tf.TensorSpec([None, batch_size], tf.int32), tf.TensorSpec([], tf.float32)]
        self._compiled = tf.function(self._steps, input_signature=signature, autograph=False)

    def run(self, batches: npt.NDArray[np.int32], learning_rate: float) -> Array:
        """Take S steps on batches [S, m]; give what was seen [S, K]."""
        rate = tf.constant(learning_rate, tf.float32)
        return np.asarray(self._compiled(tf.constant(batches), rate).numpy(), np.float64)

    def _steps(self, batches: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        num_steps = tf.shape(batches)[0]
        seen = tf.TensorArray(tf.float64, num_steps, element_shape=[self._num_seen])

        def step(done: tf.Tensor, seen: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            found = self._sgd_step.gradient(*self._split.batch(batches[done]))
            row = self._watch(found.directions)
            with tf.control_dependencies([row]):
                moves = self._sgd_step.update(found.directions, learning_rate)
            if self._watch_moves:
                row = tf.concat([row, self._watch_moves(moves)], axis=0)
            return done + 1, seen.write(done, row)

        _, seen = tf.while_loop(
            lambda done, _: done < num_steps,
            step,
            (tf.constant(0), seen),
            parallel_iterations=1,
        )
        return seen.stack()


def batches_between(
    seed: int, first_step: int, end_step: int, *, num_train: int, batch_size: int, sampler: Sampler
) -> npt.NDArray[np.int32]:
    """Draw the batches [S, m] of the steps first_step … end_step - 1, as training draws its own.

    Each epoch has ⌊N/m⌋ batches. They depend on (seed, step) alone.
    """
    per_epoch = num_train // batch_size
    epochs = range(first_step // per_epoch, (end_step - 1) // per_epoch + 1)
    orders = [
        epoch_order(seed, epoch, num_train=num_train, sampler=sampler)[: per_epoch * batch_size]
        for epoch in epochs
    ]
    all_batches = np.concatenate(orders).reshape(-1, batch_size)
    skipped = first_step - epochs[0] * per_epoch
    return all_batches[skipped : skipped + end_step - first_step]
