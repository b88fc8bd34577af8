"""A trial that is real in everything but its arithmetic, which takes no TensorFlow and little time.

It uses the project's own orders, store, checkpoints and places of deliberate death, commits in the
project's order, saves and leaves on SIGTERM, goes on from the newest checkpoint, and notes outside the
store what it did (see `side_log`). Its steps are those of `numpy_steps`.
"""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import shifted_clock
from numpy_steps import (
    NUM_BATCHES,
    State,
    add_batch,
    do_step,
    first_state,
    num_steps,
    steps_per_epoch,
    weights_sha256,
)
from side_log import Notes, settings, side_folder, take_armed_fault

from workers.contract import fault_injection, identity
from workers.contract.errors import Drained, StoreError, UserError
from workers.contract.orders import (
    EXIT_DONE,
    EXIT_DRAINED,
    EXIT_FAILED,
    EXIT_USER_ERROR,
    Answer,
    Order,
    Progress,
)
from workers.contract.records import EpochRecord, Measurement, TrialRecord, measurement_table, table
from workers.contract.store import Store
from workers.resumable.checkpoint import Checkpoints, remove_checkpoints

_CODES = {
    "committed": EXIT_DONE,
    "failed": EXIT_FAILED,
    "user_error": EXIT_USER_ERROR,
    "drained": EXIT_DRAINED,
}
_ENVIRONMENT_ID = "numpy"


class ModelLost(Exception):
    """The kept weights are gone or damaged."""


def run_child(order_path: str) -> int:
    """Carry out the order in a file, as `workers.trial.run_child` does."""
    order = Order.model_validate_json(Path(order_path).read_text())
    folder = side_folder()
    shifted_clock.shift(timedelta(seconds=settings(folder).get("clock_offset_seconds", 0.0)))
    notes = Notes(folder, order)
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    take_armed_fault(folder, order, notes)
    answer = _answer(NumpyAttempt(order, notes, lambda: bool(stops)))
    notes.note("end", status=answer.status, message=answer.message)
    notes.close()
    _write(Path(order.scratch) / "answer.json", answer.model_dump_json())
    return _CODES[answer.status]


def _answer(attempt: NumpyAttempt) -> Answer:
    try:
        attempt.run()
    except Drained as drained:
        return Answer(status="drained", message=str(drained))
    except Exception as error:  # noqa: BLE001  # every failure of a child is an answer
        traceback.print_exc()
        kinds = {StoreError: "storage", OSError: "storage", ModelLost: "model_lost"}
        kind = next((name for cls, name in kinds.items() if isinstance(error, cls)), "bug")
        is_user_error = isinstance(error, UserError)
        return Answer(
            status="user_error" if is_user_error else "failed",
            failure_class="user_error" if is_user_error else kind,
            signature=type(error).__name__,
            message=f"{type(error).__name__}: {error}",
        )
    return Answer(status="committed")


class NumpyAttempt:
    """One attempt at training or measuring."""

    def __init__(self, order: Order, notes: Notes, should_stop: Callable[[], bool]) -> None:
        self._order, self._notes, self._should_stop = order, notes, should_stop
        self._step_seconds = settings(side_folder()).get("step_seconds", 0.01)
        self._store = Store.open(order.store)
        self._folder = Store.checkpoint_folder(order.work_id)
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Do what is ordered and commit it."""
        self._report(Progress(phase="starting"))
        if identity.trial_id(self._order.trial) != self._order.trial_id:
            raise RuntimeError("the trial's identity is another one here")
        if self._order.statistic is None:
            self._train()
        else:
            self._measure()
        remove_checkpoints(self._store, self._folder)

    # Training ---------------------------------------------------------------------------------

    def _train(self) -> None:
        trial = self._order.trial
        started_at = datetime.now(UTC)
        checkpoints = self._checkpoints(self._folder, {})
        state = self._resumed(checkpoints.newest())
        last = num_steps(trial)
        while state.step < last:
            state = self._step(state)
            self._report(
                Progress(
                    phase="training",
                    done=state.step,
                    total=last,
                    epoch=len(state.losses),
                    epochs=trial.training.epochs,
                )
            )
            fault_injection.reach("training_chunk")
            self._maybe_save(state.step, last, lambda now=state: self._save(checkpoints, now))
        self._report(Progress(phase="committing"))
        self._commit(state, started_at)
        self._notes.note("committed", view="trials", weights_sha256=weights_sha256(state))

    def _resumed(self, saved: object) -> State:
        if saved is None:
            self._notes.note("start")
            return first_state(self._order.trial_id, self._order.trial)
        arrays = saved.arrays
        self._notes.note("resume", done=saved.done)
        losses = tuple(json.loads(str(arrays["losses"])))
        return State(saved.done, arrays["values"], arrays["chain"].tobytes(), losses)

    def _step(self, state: State) -> State:
        time.sleep(self._step_seconds)
        after = do_step(self._order.trial, state)
        self._notes.note("step", done=after.step)
        return after

    def _save(self, checkpoints: Checkpoints, state: State) -> None:
        chain = np.frombuffer(state.chain, np.uint8)
        losses = np.array(json.dumps(state.losses))
        checkpoints.save(state.step, {"values": state.values, "chain": chain, "losses": losses})

    def _commit(self, state: State, started_at: datetime) -> None:
        order, store = self._order, self._store
        stream = io.BytesIO()
        np.savez(stream, values=state.values, chain=np.frombuffer(state.chain, np.uint8))
        store.write_bytes(Store.model_path(order.trial_id, order.attempt_id), stream.getvalue())
        fault_injection.reach("model_committed")
        key = (order.trial_id,)
        store.commit("epochs", key, order.attempt_id, table("epochs", self._epochs(state)))
        fault_injection.reach("epochs_committed")
        record = self._record(state, started_at)
        store.commit("trials", key, order.attempt_id, table("trials", [record]))

    def _epochs(self, state: State) -> list[EpochRecord]:
        trial = self._order.trial
        return [
            EpochRecord(
                trial_id=self._order.trial_id, epoch=epoch,
                learning_rate=trial.training.learning_rate_at(epoch, trial.learning_rate),
                train_loss=loss, train_accuracy=None, validation_loss=loss,
                validation_accuracy=None, seconds=0.0,
            )
            for epoch, loss in enumerate(state.losses)
        ]  # fmt: skip

    def _record(self, state: State, started_at: datetime) -> TrialRecord:
        order, trial = self._order, self._order.trial
        now = datetime.now(UTC)
        return TrialRecord(
            trial_id=order.trial_id, attempt_id=order.attempt_id, model=trial.model.name,
            depth=None, dataset=trial.dataset.name, data_digest=trial.data_digest,
            num_train=steps_per_epoch(trial) * trial.batch_size, num_params=state.values.size,
            loss=trial.loss, batch_size=trial.batch_size, learning_rate=trial.learning_rate,
            final_learning_rate=trial.final_learning_rate, seed=trial.seed,
            momentum=trial.training.momentum, weight_decay=trial.training.weight_decay,
            epochs=trial.training.epochs, outcome="budget_spent", converged_at_epoch=None,
            train_loss=state.losses[-1], train_accuracy=None, validation_loss=state.losses[-1],
            validation_accuracy=None, weights_sha256=weights_sha256(state),
            wall_seconds=max(0.0, (now - started_at).total_seconds()), device="numpy",
            device_share=order.device_share, host=platform.node(),
            environment_id=_ENVIRONMENT_ID, started_at=started_at, finished_at=now,
            spec=trial.model_dump_json(),
        )  # fmt: skip

    # Measuring --------------------------------------------------------------------------------

    def _measure(self) -> None:
        order = self._order
        values, digest = self._kept_values()
        name = order.statistic.name
        checkpoints = self._checkpoints(f"{self._folder}/sum", {"weights_sha256": digest})
        saved = checkpoints.newest()
        done, total = (0, 0.0) if saved is None else (saved.done, float(saved.arrays["total"]))
        self._notes.note("start" if saved is None else "resume", done=done)
        while done < NUM_BATCHES:
            time.sleep(self._step_seconds)
            total = add_batch(values, name, done, total)
            done += 1
            self._notes.note("step", done=done)
            self._report(Progress(phase="measuring", done=done, total=NUM_BATCHES))
            fault_injection.reach("measurement_batch")
            arrays = {"total": np.array(total)}
            self._maybe_save(done, NUM_BATCHES, lambda d=done, a=arrays: checkpoints.save(d, a))
        self._report(Progress(phase="committing"))
        row = Measurement(
            quantity="mean_loss", value=total, stderr=0.0, num_samples=NUM_BATCHES,
            method="numpy", bn_mode="frozen", split="train", objective="data",
        )  # fmt: skip
        rows = measurement_table(order.trial_id, order.statistic, str(order.statistic_id), [row])
        key = (order.trial_id, str(order.statistic_id))
        self._store.commit("measurements", key, order.attempt_id, rows)
        self._notes.note("committed", view="measurements")

    def _kept_values(self) -> tuple[np.ndarray, str]:
        order = self._order
        rows = [
            commit.table.to_pylist()[0]
            for commit in self._store.commits("trials")
            if commit.key == (order.trial_id,)
        ]
        for row in rows:
            content = self._store.read_bytes(Store.model_path(order.trial_id, row["attempt_id"]))
            if content is None:
                continue
            try:
                with np.load(io.BytesIO(content)) as kept:
                    state = State(0, kept["values"], kept["chain"].tobytes())
            except Exception:  # noqa: BLE001, S112  # NumPy raises whatever damage leads to
                continue
            if weights_sha256(state) == rows[0]["weights_sha256"]:
                return state.values, weights_sha256(state)
        raise ModelLost(f"no sound kept model of {order.trial_id}")

    # Both -------------------------------------------------------------------------------------

    def _checkpoints(self, folder: str, conditions: dict[str, str]) -> Checkpoints:
        conditions = {"environment_id": _ENVIRONMENT_ID} | conditions
        attempt_id = self._order.attempt_id
        return Checkpoints(self._store, folder, attempt_id=attempt_id, conditions=conditions)

    def _maybe_save(self, done: int, last: int, save: Callable[[], None]) -> None:
        must_stop = self._should_stop()
        if must_stop or time.monotonic() - self._saved_at >= self._order.checkpoint_seconds:
            save()
            self._notes.note("saved", done=done)
            self._saved_at = time.monotonic()
        if must_stop:
            raise Drained(f"stopped at {done} of {last}")

    def _report(self, progress: Progress) -> None:
        _write(Path(self._order.scratch) / "progress.json", progress.model_dump_json())


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(path)
