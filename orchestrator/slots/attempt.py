"""One attempt from start to end: claim, order, heartbeats, stop, hang, answer, log, failure row."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel

from orchestrator.liveness.claims import is_ours
from orchestrator.machine.cores import cores_environment
from orchestrator.machine.scratch import own_prefix
from orchestrator.slots.child import ForkServer, ForkServerLost
from orchestrator.slots.failures import Failure, failure_of, failure_within
from orchestrator.slots.task import Status, Work
from orchestrator.slots.work_state import is_committed
from workers.contract import records
from workers.contract.errors import StoreError
from workers.contract.orders import (
    ANSWER_FILE,
    ORDER_FILE,
    PLUGIN_FILE,
    PROGRESS_FILE,
    Answer,
    Heartbeat,
    Order,
    Progress,
)
from workers.contract.plugin_call import PluginCall
from workers.contract.store import Store, new_attempt_id

_POLL_SECONDS = 0.5
_Told = TypeVar("_Told", bound=BaseModel)
"""What a child tells in a file of its scratch folder."""
_SUSPENDED_SECONDS = 30.0
"""A poll that took longer was suspended, most likely with the child, whose time starts afresh."""
_MARKER_SECONDS = 2.0
_HEARTBEAT_SECONDS = 5.0
_DRAIN_SECONDS = 120.0
"""A child that has not left by then is killed; what its last checkpoint lacks is lost."""
_END_SECONDS = 10.0
"""A fork server that does not report the end of a killed child within this time counts as lost."""


class SupervisedAttempt:
    """One order from start to end: claim, child, heartbeats, stop, hang, answer, log."""

    def __init__(
        self,
        store: Store,
        work: Work,
        server: ForkServer,
        devices: str,
        *,
        cores: Sequence[int],
        is_stop_asked: Callable[[], bool],
    ) -> None:
        self._store, self._work, self._server = store, work, server
        self._devices, self._cores, self._is_stop_asked = devices, cores, is_stop_asked
        self._id = new_attempt_id(datetime.now(UTC))
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._progress = Progress(phase="starting")
        self._killed: Literal["hang", "drain"] | None = None
        self.has_started = False

    def run(self) -> tuple[Failure | None, Status]:
        """Run the child, unless another run does this trial; return any failure, and the status."""
        try:
            self._publish("claiming")
            # first, as meanwhile a rival would not see us running although our claim stands
            self._server.ensure_started()
            if not is_ours(self._store, self._heartbeat("claiming"), self._work.task.presumed_dead):
                return None, "elsewhere"
            if is_committed(self._store, self._work):
                return None, "done"
            with tempfile.TemporaryDirectory(
                prefix=own_prefix(), ignore_cleanup_errors=True
            ) as scratch:
                return self._run_in(Path(scratch))
        except ForkServerLost as error:
            return Failure("worker_lost", "fork server", str(error)), "failed"
        except (OSError, StoreError) as error:
            return Failure("storage", type(error).__name__, str(error)), "failed"
        finally:
            self._beat("ended")

    def failure_record(self, failure: Failure) -> records.FailureRecord:
        """Return the row of the `failures` view."""
        return records.FailureRecord(
            trial_id=self._work.trial_id,
            statistic_id=self._work.statistic_id,
            attempt_id=self._id,
            failure_class=failure.failure_class,
            signature=failure.signature,
            message=failure.message,
            log_path=Store.log_path(self._work.trial_id, self._id),
            host=socket.gethostname(),
            failed_at=datetime.now(UTC),
        )

    def _run_in(self, scratch: Path) -> tuple[Failure | None, Status]:
        log = self._log_file(scratch)
        num_killed = out_of_memory_kills()
        try:
            exit_code = self._run_child(scratch, log)
        finally:
            self._keep_log(log)
        if self._killed == "drain":
            return None, "drained"
        answer = _told(scratch / ANSWER_FILE, Answer)
        failure = failure_of(
            exit_code,
            answer,
            was_hung=self._killed == "hang",
            was_out_of_memory=out_of_memory_kills() > num_killed,
        )
        hang_seconds = self._work.task.hang_seconds
        plugin = _told(scratch / PLUGIN_FILE, PluginCall)  # the one that had the word at its end
        failure = failure_within(plugin, failure, exit_code, hang_seconds)
        is_drained = answer is not None and answer.status == "drained"
        return failure, "drained" if is_drained else "done"

    def _run_child(self, scratch: Path, log: Path) -> int:
        order_file = scratch / ORDER_FILE
        order_file.write_text(self._order(scratch).model_dump_json())
        environment = {
            "CUDA_VISIBLE_DEVICES": self._devices,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML numbers them
            **cores_environment(self._cores),
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TMPDIR": str(scratch),  # what a killed child leaves behind is removed with the rest
        }
        kind = f"{self._work.task.num_threads} {self._cores}" if self._work.shares_process else ""
        self._server.start_attempt(order_file, log, environment, kind)
        self.has_started = True
        self._beat("running")
        return self._watch(scratch)

    def _watch(self, scratch: Path) -> int:
        marker = heartbeat = moved = asked = time.monotonic()
        asked_to_stop = None
        while (exit_code := self._server.wait(_POLL_SECONDS)) is None:
            now = time.monotonic()
            progress = _told(scratch / PROGRESS_FILE, Progress) or self._progress
            if progress != self._progress or now - asked > _SUSPENDED_SECONDS:
                self._progress, moved = progress, now
            if now - heartbeat > _HEARTBEAT_SECONDS:
                heartbeat = now
                self._beat("running")
            if now - marker > _MARKER_SECONDS and asked_to_stop is None:
                marker = now
                if self._is_stop_asked():
                    asked_to_stop = now
                    self._server.signal(signal.SIGTERM)
            if asked_to_stop is not None and now - asked_to_stop > _DRAIN_SECONDS:
                return self._kill("drain")
            if now - moved > self._work.task.hang_seconds:
                return self._kill("hang")
            asked = time.monotonic()
        return exit_code

    def _kill(self, reason: Literal["hang", "drain"]) -> int:
        """End the child, and the fork server too where it no longer answers."""
        self._killed = reason
        self._server.signal(signal.SIGKILL)
        exit_code = self._server.wait(_END_SECONDS)
        if exit_code is None:
            self._server.close()
        return -signal.SIGKILL

    def _order(self, scratch: Path) -> Order:
        task, statistic = self._work.task, self._work.statistic
        return Order(
            trial=task.planned.trial,
            trial_id=task.planned.trial_id,
            statistic=statistic.statistic if statistic else None,
            statistic_id=statistic.statistic_id if statistic else None,
            attempt_id=self._id,
            store=task.store,
            data_dir=task.data_dir,
            checkpoint_seconds=task.checkpoint_seconds,
            num_threads=task.num_threads,
            device_share=task.device_share,
            scratch=str(scratch),
        )

    def _beat(self, state: Literal["running", "ended"]) -> None:
        """Publish that the attempt lives; a store briefly out of reach is no failure here."""
        with suppress(StoreError):
            self._publish(state)

    def _publish(self, state: Literal["claiming", "running", "ended"]) -> None:
        path = Store.heartbeat_path(self._work.trial_id, self._id)
        self._store.write_json(path, self._heartbeat(state).model_dump(mode="json"))

    def _heartbeat(self, state: Literal["claiming", "running", "ended"]) -> Heartbeat:
        task, statistic = self._work.task, self._work.statistic
        return Heartbeat(
            trial_id=self._work.trial_id,
            attempt_id=self._id,
            statistic=statistic.statistic.name if statistic else None,
            statistic_id=self._work.statistic_id,
            sweep=task.sweep,
            run_id=task.run_id,
            state=state,
            host=socket.gethostname(),
            pid=os.getpid(),
            devices=self._devices,
            device_share=task.device_share,
            started_at=self._started_at,
            beat_at=datetime.now(UTC).isoformat(timespec="seconds"),
            progress=self._progress,
        )

    def _log_file(self, scratch: Path) -> Path:
        """Return the log's path: in the store, to be read as it grows, else in scratch."""
        place = self._store.local_path(Store.log_path(self._work.trial_id, self._id))
        if place is None:
            return scratch / "log"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.open("ab").close()
        except OSError:
            return scratch / "log"
        return place

    def _keep_log(self, log: Path) -> None:
        path = Store.log_path(self._work.trial_id, self._id)
        if log != self._store.local_path(path) and log.is_file():
            with suppress(StoreError):
                self._store.write_bytes(path, log.read_bytes())


def out_of_memory_kills() -> int:
    """Count the processes that this machine has killed for lack of memory; 0 where unknown."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _told(path: Path, kind: type[_Told]) -> _Told | None:
    """Return what a child has left in a file; None where it is not there, or not whole."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
