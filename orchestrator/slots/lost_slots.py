"""What is recorded of a lost slot or node: a row in `failures`, and the end of its heartbeat."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from orchestrator.liveness.heartbeats import heartbeats_of
from orchestrator.slots.failures import Failure
from orchestrator.slots.task import SlotTask
from workers.contract import records
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat
from workers.contract.records import FailureRecord
from workers.contract.store import Store, new_attempt_id


def loss_of(error: Exception | None) -> Failure:
    """Classify why a slot was lost, by what Ray raised; `error` is None if it could not start."""
    message = " ".join(str(error).split())[:500] if error else "its slot could not be started"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "RayTaskError" in kinds:
        cause = type(getattr(error, "cause", error)).__name__
        return Failure("bug", f"{cause} in the slot", message)
    if "OutOfMemoryError" in kinds or "running low on memory" in message:
        return Failure("host_out_of_memory", "slot ended by Ray's memory monitor", message)
    if getattr(error, "preempted", False):
        return Failure("preempted", "node preempted", message)
    # of a vanished node Ray at first knows only that the slot is silent; a dead slot it reports
    is_silent = "ActorUnavailableError" in kinds
    if is_silent or "node has died" in message or "node was terminated" in message:
        return Failure("node_lost", "node lost", message)
    return Failure("worker_lost", "slot lost", message)


def loss_record(beat: Heartbeat | None, task: SlotTask, loss: Failure) -> FailureRecord:
    """Return the row of the attempt that was lost; `beat` is None where none had begun."""
    attempt_id = beat.attempt_id if beat else new_attempt_id(datetime.now(UTC))
    return FailureRecord(
        trial_id=task.trial_id,
        statistic_id=beat.statistic_id if beat else None,
        attempt_id=attempt_id,
        failure_class=loss.failure_class,
        signature=loss.signature,
        message=loss.message,
        log_path=Store.log_path(task.trial_id, attempt_id),
        host=beat.host if beat else "unknown",
        failed_at=datetime.now(UTC),
    )


def record_loss(store: Store, task: SlotTask, loss: Failure) -> bool:
    """Commit the row and end the heartbeat; False if the store is out of reach and lacks it."""
    is_recorded = False
    with suppress(StoreError):
        beat = _last_of(store, task)
        row = loss_record(beat, task, loss)
        rows = records.table("failures", [row])
        store.commit("failures", (row.trial_id, row.attempt_id), row.attempt_id, rows)
        is_recorded = True
        if beat is not None:
            ended = beat.model_copy(update={"state": "ended"})
            path = Store.heartbeat_path(beat.trial_id, beat.attempt_id)
            store.write_json(path, ended.model_dump(mode="json"))
    return is_recorded


def _last_of(store: Store, task: SlotTask) -> Heartbeat | None:
    """Return the last attempt of this run at the trial that has not reported its end, if any."""
    beats = [
        beat
        for beat in heartbeats_of(store, task.trial_id)
        if beat.run_id == task.run_id and beat.state != "ended"
    ]
    return max(beats, key=lambda beat: beat.attempt_id, default=None)
