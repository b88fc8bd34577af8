"""The training loop: chunks of compiled steps, an evaluation each epoch, checkpoints in between."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import final

import keras
import numpy as np
import numpy.typing as npt

from workers.contract import fault_injection
from workers.contract.errors import Drained
from workers.contract.orders import Progress
from workers.contract.records import EpochRecord
from workers.contract.specs import TrialSpec
from workers.datasets.dataset import Dataset
from workers.losses.loss import Loss
from workers.network.weights import are_finite
from workers.process.built import Built
from workers.resumable.checkpoint import Checkpoints
from workers.resumable.pulse import Pace, Pulse
from workers.training.convergence import Ending, ending
from workers.training.seeding import epoch_order
from workers.training.state import TrainingState, from_arrays, to_arrays
from workers.training.steps import tally
from workers.training.steps.augmentation import check_images
from workers.training.steps.batches import next_batches, steps_per_epoch
from workers.training.steps.loops import TrainingLoops, kind_of_loops

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """A network at its initial weights, with the data and loss to train it on.

    Attributes:
        trial_id: Its identity.
        trial: How it is trained.
        model: The network.
        dataset: The data.
        loss: Unreduced.
        built: What this process has compiled for trials before.
    """

    trial_id: str
    trial: TrialSpec
    model: keras.Model
    dataset: Dataset
    loss: Loss
    built: Built = field(default_factory=Built)


@dataclass(frozen=True)
class Trained:
    """The result of training; the weights are in the job's network.

    Attributes:
        ending: Outcome and epoch of convergence.
        records: One for each epoch that was started.
        seconds: Time spent over all attempts, without what a killed one lost.
    """

    ending: Ending
    records: tuple[EpochRecord, ...]
    seconds: float


@final
class Trainer:
    """The training of one network, from its newest checkpoint.

    Stopped and resumed anywhere, any number of times, it yields the bits of uninterrupted training,
    in one environment.

    Raises:
        UserError: The batch does not fit the data, or the augmentation the inputs.
    """

    def __init__(self, job: TrainingJob, checkpoints: Checkpoints, pulse: Pulse) -> None:
        trial, data = job.trial, job.dataset
        self._steps_per_epoch = steps_per_epoch(trial, len(data.train))
        if trial.training.augmentation != "none":
            check_images(data.input_shape)
        self._job, self._checkpoints, self._pulse = job, checkpoints, pulse
        self._loops = job.built.get(
            kind_of_loops(trial),
            lambda: TrainingLoops.compile(job.model, job.loss, data, trial, job.built),
        )
        self._loops.begin(job.model)
        self._pace, self._pace_of_evaluation = Pace(pulse.chunk_seconds), Pace(pulse.chunk_seconds)
        self._state = TrainingState()
        self._resumed_at: int | None = None
        self._saved_step: int | None = None
        self._counted_until = self._saved_at = pulse.clock()

    def run(self) -> Trained:
        """Train to the end and return the result.

        Raises:
            Drained: A stop was asked for; a checkpoint has been saved.
            StoreError: A checkpoint cannot be read or written.
        """
        self._restore()
        while (end := self._ending()) is None:
            order = self._epoch_order()
            while not self._epoch_is_over():
                self._run_chunk(order)
                self._between_chunks()
            self._close_epoch()
        self._loops.end(self._job.model)
        return Trained(end, self._state.records, self._state.seconds)

    def _restore(self) -> None:
        saved = self._checkpoints.newest()
        if saved is None:
            return
        self._state = from_arrays(saved.arrays, self._loops.variables)
        self._resumed_at = self._saved_step = self._state.step
        _log.info("resumed at step %d", self._state.step)

    def _ending(self) -> Ending | None:
        if not self._state.records:
            return None
        training = self._job.trial.training
        return ending(
            self._state.records,
            training.convergence,
            num_epochs=training.epochs,
            initial_loss=self._state.initial_loss,
            weights_are_finite=are_finite(self._loops.model),
        )

    def _epoch_order(self) -> npt.NDArray[np.int32]:
        """Return the examples [N] of this epoch in their order."""
        return epoch_order(
            self._job.trial.seed,
            self._state.epoch,
            num_train=len(self._job.dataset.train),
            sampler=self._job.trial.training.sampler,
        )

    def _epoch_is_over(self) -> bool:
        """Return whether all steps of the epoch are done, or its loss is no longer finite."""
        state = self._state
        all_done = state.step == (state.epoch + 1) * self._steps_per_epoch
        return all_done or not np.isfinite(state.sums[0])

    def _run_chunk(self, order: npt.NDArray[np.int32]) -> None:
        """Take the next steps of an epoch whose examples come in this order [N]."""
        state, trial = self._state, self._job.trial
        position = state.step - state.epoch * self._steps_per_epoch
        is_first = state.step == 0
        num_steps = 1 if is_first else self._pace.num_steps
        started = self._pulse.clock()
        done, sums = self._loops.sgd.run(
            next_batches(order, trial.batch_size, position, num_steps),
            state.sums,
            seed=trial.seed,
            first_step=state.step,
            learning_rate=self._learning_rate(),
        )
        self._pace.observe(done, self._pulse.clock() - started)
        initial_loss = sums[0] / sums[2] if is_first else state.initial_loss
        self._state = replace(
            state, step=state.step + done, sums=sums, initial_loss=float(initial_loss)
        )

    def _between_chunks(self) -> None:
        """Count the time, report progress, save when a checkpoint is due, stop when asked."""
        now = self._pulse.clock()
        spent, self._counted_until = now - self._counted_until, now
        state = self._state = replace(
            self._state,
            epoch_seconds=self._state.epoch_seconds + spent,
            seconds=self._state.seconds + spent,
        )
        self._pulse.report(self._progress())
        fault_injection.reach("training_chunk")
        must_stop = self._pulse.should_stop()
        if must_stop or now - self._saved_at >= self._pulse.checkpoint_seconds:
            self._save()
        if must_stop:
            raise Drained(f"stopped at step {state.step} of {self._total_steps}")

    def _save(self) -> None:
        """Save, unless nothing was trained since, as during an evaluation."""
        if self._state.step != self._saved_step:
            self._checkpoints.save(self._state.step, to_arrays(self._state, self._loops.variables))
            self._saved_step = self._state.step
        self._saved_at = self._pulse.clock()

    def _close_epoch(self) -> None:
        evaluated = self._loops.evaluation.run(
            self._pace_of_evaluation, self._pulse.clock, self._between_chunks
        )
        is_classification = self._job.dataset.is_classification
        seen = tally.means(self._state.sums, is_classification=is_classification)
        validation = tally.means(evaluated, is_classification=is_classification)
        record = EpochRecord(
            trial_id=self._job.trial_id,
            epoch=self._state.epoch,
            learning_rate=self._learning_rate(),
            train_loss=seen.loss,
            train_accuracy=seen.accuracy,
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            seconds=self._state.epoch_seconds,
        )
        self._state = replace(
            self._state,
            records=(*self._state.records, record),
            sums=tally.empty(),
            epoch_seconds=0.0,
        )

    def _learning_rate(self) -> float:
        trial = self._job.trial
        return trial.training.learning_rate_at(self._state.epoch, trial.learning_rate)

    @property
    def _total_steps(self) -> int:
        return self._job.trial.training.epochs * self._steps_per_epoch

    def _progress(self) -> Progress:
        sums = self._state.sums
        return Progress(
            phase="training",
            done=self._state.step,
            total=self._total_steps,
            epoch=self._state.epoch,
            epochs=self._job.trial.training.epochs,
            train_loss=float(sums[0] / sums[2]) if sums[2] else None,
            resumed_at=self._resumed_at,
        )
