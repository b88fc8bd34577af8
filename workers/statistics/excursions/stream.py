"""A stream of SGD steps on a network, compiled once, with numbers observed at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.settings import Sampler
from workers.network.resident import ResidentSplit
from workers.training.seeding import epoch_order
from workers.training.steps.sgd_step import SGDStep

Array = npt.NDArray[np.float64]

Watch = Callable[[list[tf.Tensor]], tf.Tensor]
"""Returns a row [k] of float64 numbers from one tensor per parameter."""

CHUNK_STEPS = 32
"""Steps without a pause: the most that a kill loses, beside what was not checkpointed."""


def squared_norm(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Return ‖·‖² [] in float64 of a vector [P] given as one tensor per parameter."""
    return tf.add_n([tf.cast(tf.reduce_sum(tf.square(each)), tf.float64) for each in tensors])


class NoiseBatches(NamedTuple):
    """Measurements of the noise of S steps, on batches besides their own.

    Attributes:
        pairs: Two batches for every step [S, 2, m].
        weights: How many steps each represents [S]; 0 where nothing is measured.
    """

    pairs: npt.NDArray[np.int32]
    weights: Array


@final
class CompiledStream:
    """Steps of SGD on the network that an `SGDStep` holds; the bits do not depend on the chunks.

    Args:
        sgd_step: Steps of the network that moves.
        split: The training set.
        batch_size: m.
        watch: Returns what is observed of the directions of each step, before the weights move.
        num_seen: K, how many numbers are observed at a step.
        watch_moves: Returns what is observed of the new velocity, after the weights move; next in
            the row.
        sees_noise: Whether w·½‖g_A - g_B‖² of a step's pair of batches, before the weights move,
            comes last in the row, w its weight.
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
        sees_noise: bool = False,
    ) -> None:
        self._sgd_step, self._split, self._sees_noise = sgd_step, split, sees_noise
        self._watch, self._num_seen, self._watch_moves = watch, num_seen, watch_moves
        self._no_probes = NoiseBatches(np.zeros((0, 2, batch_size), np.int32), np.zeros(0))
        signature = [
            tf.TensorSpec([None, batch_size], tf.int32),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([None, 2, batch_size], tf.int32),
            tf.TensorSpec([None], tf.float64),
        ]
        self._compiled = tf.function(self._steps, input_signature=signature, autograph=False)

    def run(
        self,
        batches: npt.NDArray[np.int32],
        learning_rate: float,
        probes: NoiseBatches | None = None,
    ) -> Array:
        """Take S steps on batches [S, m]; return what was observed [S, K]."""
        pairs, weights = probes or self._no_probes
        found = self._compiled(
            tf.constant(batches),
            tf.constant(learning_rate, tf.float32),
            tf.constant(pairs),
            tf.constant(weights),
        )
        return np.asarray(found.numpy(), np.float64)

    def _steps(
        self, batches: tf.Tensor, learning_rate: tf.Tensor, pairs: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        """Return what was observed [S, K] on batches [S, m], pairs [S, 2, m] with weights [S]."""
        num_steps = tf.shape(batches)[0]
        seen = tf.TensorArray(tf.float64, num_steps, element_shape=[self._num_seen])

        def step(done: tf.Tensor, seen: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            """Take the step after `done` [] and write its row [K]."""
            found = self._sgd_step.gradient(*self._split.batch(batches[done]))
            row = self._watch(found.directions)
            noise = [self._noise(pairs[done], weights[done])] if self._sees_noise else []
            with tf.control_dependencies([row, *noise]):
                moves = self._sgd_step.update(found.directions, learning_rate)
            moved = [self._watch_moves(moves)] if self._watch_moves else []
            return done + 1, seen.write(done, tf.concat([row, *moved, *noise], axis=0))

        _, seen = tf.while_loop(
            lambda done, _: done < num_steps,
            step,
            (tf.constant(0), seen),
            parallel_iterations=1,
        )
        return seen.stack()

    def _noise(self, pair: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return w·½‖g_A - g_B‖² [1] of a pair of batches [2, m], computed where w [] > 0."""

        def measured() -> tf.Tensor:
            """Return ½‖g_A - g_B‖² []."""
            one, other = (
                self._sgd_step.gradient(*self._split.batch(each)).directions
                for each in tf.unstack(pair)
            )
            return squared_norm([a - b for a, b in zip(one, other, strict=True)]) / 2

        found: tf.Tensor = tf.cond(weight > 0, measured, lambda: tf.zeros([], tf.float64))
        return (weight * found)[None]


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
