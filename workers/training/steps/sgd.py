"""Training steps as one compiled loop over many of them."""

from __future__ import annotations

from functools import cached_property
from typing import final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.contract.specs import TrialSpec
from workers.losses.loss import Loss
from workers.network.resident import ResidentSplit
from workers.training.steps import tally
from workers.training.steps.augmentation import augmentation_seed, pad_crop_flip
from workers.training.steps.sgd_step import SGDStep


@final
class CompiledSGD:
    """The steps of trials that differ in learning rate and seed alone, compiled once; owns the velocity.

    A call runs a chunk of steps without returning to Python. The bits do not depend on how the steps
    are cut into chunks. The loop ends after a step whose loss is not finite.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss,
        split: ResidentSplit,
        trial: TrialSpec,
        *,
        has_ragged_batch: bool,
    ) -> None:
        self._split, self._training = split, trial.training
        self._sgd_step = SGDStep(model, loss, trial.training)
        self.velocity = self._sgd_step.velocity
        width = None if has_ragged_batch else trial.batch_size
        self._signature = [
            tf.TensorSpec([None, width], tf.int32),
            tally.TALLY_SPEC,
            tf.TensorSpec([2], tf.int64),
            tf.TensorSpec([], tf.float32),
        ]

    @cached_property
    def _compiled(self) -> tf.types.experimental.ConcreteFunction:
        """Trace once; of functions that are called once each TensorFlow would warn."""
        traced = tf.function(self._chunk, input_signature=self._signature, autograph=False)
        return traced.get_concrete_function()

    def run(
        self,
        batches: npt.NDArray[np.int32],
        sums: tally.Tally,
        *,
        seed: int,
        first_step: int,
        learning_rate: float,
    ) -> tuple[int, tally.Tally]:
        """Train on batches [S, B]; return the number of steps done and the sums [3] so far.

        Args:
            batches: Indices of examples.
            sums: The tally so far.
            seed: The trial's.
            first_step: Number of the first step among all of the trial's.
            learning_rate: Of these steps.
        """
        done, added = self._compiled(
            tf.constant(batches),
            tf.constant(sums),
            tf.constant([seed, first_step], tf.int64),
            tf.constant(learning_rate, tf.float32),
        )
        return int(done.numpy()), added.numpy()

    def _chunk(
        self, batches: tf.Tensor, sums: tf.Tensor, first: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take S steps on batches [S, B] at a rate []; return the number done [] and sums [3].

        `first` [2] is the trial's seed and the number of the first step.
        """

        def has_next(done: tf.Tensor, running: tf.Tensor) -> tf.Tensor:
            """Return [] whether a batch is left and the running loss in the sums [3] is finite."""
            return (done < tf.shape(batches)[0]) & tf.math.is_finite(running[0])

        def step(done: tf.Tensor, running: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Take the step after `done` [] and add its tally to the sums [3]."""
            draws = augmentation_seed(first[0], first[1] + tf.cast(done, tf.int64))
            return done + 1, running + self._step(batches[done], draws, learning_rate)

        start = (tf.constant(0), sums)
        found: tuple[tf.Tensor, tf.Tensor] = tf.while_loop(
            has_next, step, start, parallel_iterations=1
        )
        return found

    def _step(self, indices: tf.Tensor, draws: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        """Take a step on examples `indices` [B] at a rate []; return their tally [3].

        `draws` [2] seeds what is drawn of the images.
        """
        inputs, targets = self._split.batch(indices)
        if self._training.augmentation == "pad_crop_flip":
            inputs = pad_crop_flip(inputs, draws)
        found = self._sgd_step.gradient(inputs, targets)
        self._sgd_step.update(found.directions, learning_rate)
        return tally.of_batch(found.losses, found.outputs, targets)
