"""Train a trial and commit it: the model, then the epochs, then the trial."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import keras

from workers.attempts import kept_model
from workers.attempts.attempt import Attempt
from workers.contract import fault_injection
from workers.contract.errors import StoreError
from workers.contract.orders import Progress
from workers.contract.records import TrialRecord, table
from workers.network import weights
from workers.network.params import num_params
from workers.process.code_digest import running_code
from workers.process.code_origin import running_origin
from workers.resumable.checkpoint import Checkpoints, remove_checkpoints
from workers.training.loop import Trained, Trainer, TrainingJob


def train_and_commit(attempt: Attempt) -> None:
    """Train from the newest checkpoint to the end; the trial is done when its record is committed.

    Raises:
        Drained: A stop was asked for; a checkpoint has been saved.
        StoreError: The store cannot be read or written.
        UserError: The spec does not fit the data.
    """
    order, store = attempt.order, attempt.store
    started_at = datetime.now(UTC)
    precision = order.trial.training.precision
    model = kept_model.build_model(order.trial, attempt.dataset, precision)
    trained = _train(attempt, model)
    attempt.pulse.report(Progress(phase="committing"))
    model = kept_model.in_float32(model, order.trial, attempt.dataset)
    record = _record(attempt, trained, model, started_at)
    path = store.model_path(order.trial_id, order.attempt_id)
    store.write_bytes(path, kept_model.to_bytes(model))
    fault_injection.reach("model_committed")
    key = (order.trial_id,)
    store.commit("epochs", key, order.attempt_id, table("epochs", trained.records))
    fault_injection.reach("epochs_committed")
    store.commit("trials", key, order.attempt_id, table("trials", [record]))
    with suppress(StoreError):  # the work is done, even if files remain
        remove_checkpoints(store, attempt.checkpoint_folder)


def _train(attempt: Attempt, model: keras.Model) -> Trained:
    order = attempt.order
    job = TrainingJob(
        order.trial_id, order.trial, model, attempt.dataset, attempt.loss, attempt.built
    )
    checkpoints = Checkpoints(
        attempt.store,
        attempt.checkpoint_folder,
        attempt_id=order.attempt_id,
        conditions={"environment_id": attempt.environment.facts.environment_id},
    )
    return Trainer(job, checkpoints, attempt.pulse).run()


def _record(
    attempt: Attempt, trained: Trained, model: keras.Model, started_at: datetime
) -> TrialRecord:
    order, trial, environment = attempt.order, attempt.order.trial, attempt.environment
    last = trained.records[-1]
    return TrialRecord(
        trial_id=order.trial_id,
        attempt_id=order.attempt_id,
        model=trial.model.name,
        depth=getattr(trial.model, "depth", None),
        dataset=trial.dataset.name,
        data_digest=trial.data_digest,
        num_train=len(attempt.dataset.train),
        num_params=num_params(model),
        loss=trial.loss,
        batch_size=trial.batch_size,
        learning_rate=trial.learning_rate,
        final_learning_rate=trial.final_learning_rate,
        seed=trial.seed,
        momentum=trial.training.momentum,
        weight_decay=trial.training.weight_decay,
        epochs=len(trained.records),
        outcome=trained.ending.outcome,
        converged_at_epoch=trained.ending.converged_at_epoch,
        train_loss=last.train_loss,
        train_accuracy=last.train_accuracy,
        validation_loss=last.validation_loss,
        validation_accuracy=last.validation_accuracy,
        weights_sha256=weights.digest_of_weights(model),
        wall_seconds=trained.seconds,
        device=environment.facts.device,
        device_share=order.device_share,
        host=environment.host,
        environment_id=environment.facts.environment_id,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        spec=trial.model_dump_json(),
        code_digest=running_code(),
        environment=environment.facts.for_record(),
        **asdict(running_origin()),
    )
