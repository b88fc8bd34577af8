"""Mean loss and accuracy over a whole split in inference mode (batch norm's moving averages)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import final

import keras
import numpy as np
import tensorflow as tf

from workers.losses.loss import Loss
from workers.network.resident import ResidentSplit
from workers.resumable.pulse import Pace
from workers.training.steps import tally

_BATCH_SIZE = 250
"""Examples per step; the last step is filled up with examples that do not count."""


@final
class CompiledEvaluation:
    """One pass over a split, in its own order, compiled once."""

    def __init__(self, model: keras.Model, loss: Loss, split: ResidentSplit) -> None:
        self._model, self._loss, self._split = model, loss, split
        self._batch_size = min(_BATCH_SIZE, len(split))
        self._num_steps = -(-len(split) // self._batch_size)
        self._signature = [
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tally.TALLY_SPEC,
        ]

    @cached_property
    def _compiled(self) -> tf.types.experimental.ConcreteFunction:
        """Trace once; of functions that are called once each TensorFlow would warn."""
        traced = tf.function(self._chunk, input_signature=self._signature, autograph=False)
        return traced.get_concrete_function()

    def run(
        self, pace: Pace, clock: Callable[[], float], between_chunks: Callable[[], None]
    ) -> tally.Tally:
        """Return the tally [3] of the split; whatever `between_chunks` raises ends the pass.

        Args:
            pace: How many steps a chunk has; observes how long they take.
            clock: In seconds.
            between_chunks: Called after each.
        """
        sums, first = tally.empty(), 0
        while first < self._num_steps:
            started = clock()
            last = min(first + pace.num_steps, self._num_steps)
            sums = self._compiled(tf.constant(first), tf.constant(last), tf.constant(sums)).numpy()
            pace.observe(last - first, clock() - started)
            between_chunks()
            first = last
        return np.asarray(sums)

    def _chunk(self, first: tf.Tensor, last: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
        """Add the steps first … last - 1 (scalars []) to the sums [3]."""

        def step(number: tf.Tensor, running: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Add step `number` [] to the sums [3]."""
            return number + 1, running + self._step(number)

        _, found = tf.while_loop(
            lambda number, _: number < last, step, (first, sums), parallel_iterations=1
        )
        return found

    def _step(self, number: tf.Tensor) -> tf.Tensor:
        """Return the tally [3] of the batch of a number []."""
        places = number * self._batch_size + tf.range(self._batch_size)
        inputs, targets = self._split.batch(tf.minimum(places, len(self._split) - 1))
        outputs = tf.cast(self._model(inputs, training=False), tf.float32)
        losses = self._loss.per_example(outputs, targets)
        return tally.of_batch(losses, outputs, targets, counted=places < len(self._split))
