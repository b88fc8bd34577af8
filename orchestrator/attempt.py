"""One attempt from start to end: order, heartbeats, stop, hang, answer, log, failure row."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from orchestrator.child import ForkServer, ForkServerLost
from orchestrator.cores import cores_environment
from orchestrator.failures import Failure, failure_of
from orchestrator.task import Status, Work, is_stop_asked
from workers.contract import records
from workers.contract.errors import StoreError
from workers.contract.orders import Answer, Heartbeat, Order, Progress
from workers.contract.store import Store, new_attempt_id

_POLL_SECONDS = 0.5
_MARKER_SECONDS = 2.0
_HEARTBEAT_SECONDS = 5.0


class Attempt:
    """One child from start to end: order, heartbeats, stop, hang, answer, log."""

    def __init__(self, store: Store, work: Work, server: ForkServer, devices: str) -> None:
        self._store, self._work, self._server = store, work, server
        self._devices = devices
        self.cores: tuple[int, ...] = ()
        self._id = new_attempt_id(datetime.now(UTC))
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._scratch = Path(tempfile.mkdtemp(prefix=f"minima-{os.getpid()}-"))
        self._progress = Progress(phase="starting")
        self._has_hung = False

    def run(self) -> tuple[Failure | None, Status]:
        """Run the child; a failure, or how the work stands."""
        log = self._scratch / "log"
        try:
            log = self._log_file()
            exit_code = self._run_child(log)
            answer = self._answer()
            failure = failure_of(exit_code, answer, was_hung=self._has_hung)
            is_drained = answer is not None and answer.status == "drained"
            return failure, "drained" if is_drained else "done"
        except ForkServerLost as error:
            return Failure("fork_server_lost", "fork server", str(error)), "failed"
        except OSError as error:
            return Failure("storage", type(error).__name__, str(error)), "failed"
        finally:
            self._beat("ended")
            self._keep_log(log)
            shutil.rmtree(self._scratch, ignore_errors=True)

    def record(self, failure: Failure) -> None:
        """Commit the failure to the `failures` view."""
        trial_id = self._work.trial_id
        statistic = self._work.statistic
        row = records.FailureRecord(
            trial_id=trial_id,
            statistic_id=statistic.statistic_id if statistic else None,
            attempt_id=self._id,
            failure_class=failure.failure_class,
            signature=failure.signature,
            message=failure.message,
            log_path=Store.log_path(trial_id, self._id),
            host=socket.gethostname(),
            failed_at=datetime.now(UTC),
        )
        rows = records.table("failures", [row])
        with suppress(StoreError):  # where the store is away, the log still tells
            self._store.commit("failures", (trial_id, self._id), self._id, rows)

    def _run_child(self, log: Path) -> int:
        order_file = self._scratch / "order.json"
        order_file.write_text(self._order().model_dump_json())
        environment = {
            "CUDA_VISIBLE_DEVICES": self._devices,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML numbers them
            **cores_environment(self.cores),
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        self._server.start_attempt(order_file, log, environment)
        self._beat("running")
        return self._watch()

    def _watch(self) -> int:
        marker = heartbeat = moved = time.monotonic()
        is_told = False
        while (exit_code := self._server.wait(_POLL_SECONDS)) is None:
            now = time.monotonic()
            progress = self._read_progress()
            if progress != self._progress:
                self._progress, moved = progress, now
            if now - heartbeat > _HEARTBEAT_SECONDS:
                heartbeat = now
                self._beat("running")
            if now - marker > _MARKER_SECONDS and not is_told:
                marker = now
                is_told = is_stop_asked(self._store, self._work.task)
                if is_told:
                    self._server.signal(signal.SIGTERM)
            if now - moved > self._work.task.hang_seconds and not self._has_hung:
                self._has_hung = True
                self._server.signal(signal.SIGKILL)
        return exit_code

    def _order(self) -> Order:
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
            scratch=str(self._scratch),
        )

    def _beat(self, state: Literal["running", "ended"]) -> None:
        """Tell the store that the attempt lives; a store that is away for a moment is no fault here."""
        task, statistic = self._work.task, self._work.statistic
        heartbeat = Heartbeat(
            trial_id=self._work.trial_id,
            attempt_id=self._id,
            statistic=statistic.statistic.name if statistic else None,
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
        path = Store.heartbeat_path(self._work.trial_id, self._id)
        with suppress(StoreError):
            self._store.write_json(path, heartbeat.model_dump(mode="json"))

    def _log_file(self) -> Path:
        place = self._store.local_path(Store.log_path(self._work.trial_id, self._id))
        if place is None:
            return self._scratch / "log"
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _keep_log(self, log: Path) -> None:
        if self._store.root.local is None and log.is_file():
            path = Store.log_path(self._work.trial_id, self._id)
            with suppress(StoreError):
                self._store.write_bytes(path, log.read_bytes())

    def _answer(self) -> Answer | None:
        try:
            return Answer.model_validate_json((self._scratch / "answer.json").read_bytes())
        except (OSError, ValueError):
            return None

    def _read_progress(self) -> Progress:
        try:
            return Progress.model_validate_json((self._scratch / "progress.json").read_bytes())
        except (OSError, ValueError):
            return self._progress
