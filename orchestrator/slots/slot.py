"""A slot: one place for a trial on a machine; it runs the trial's missing work, attempt by attempt."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.machine.cores import claimed_cores
from orchestrator.machine.scratch import remove_abandoned
from orchestrator.slots.attempt import SupervisedAttempt
from orchestrator.slots.child import ForkServer
from orchestrator.slots.failures import should_retry, wait_before_retry, wants_larger_share
from orchestrator.slots.leaving import failure_of_notice
from orchestrator.slots.task import SlotResult, SlotTask, Status, Work, is_stop_asked
from orchestrator.slots.work_state import failure_classes, is_committed
from workers.contract import records
from workers.contract.errors import StoreError
from workers.contract.records import FailureRecord
from workers.contract.store import Store

_SEVERITY: list[Status] = ["done", "failed", "elsewhere", "larger_share", "drained"]
"""Worst last: a trial with work given up is still run again if other work is only deferred."""


class Slot:
    """A runner of tasks, one by one, in children of its own fork server.

    Args:
        is_leaving: Whether this machine is to end soon: what runs saves, and nothing further is begun.
        is_stopping: Whether this process knows that the run was asked to drain, be the store out of reach.
    """

    def __init__(
        self,
        is_leaving: Callable[[], bool] = lambda: False,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        remove_abandoned()  # left by killed slots; where only slots run, nobody else removes them
        self._is_leaving, self._is_stopping = is_leaving, is_stopping
        self._server: ForkServer | None = None
        self._num_attempts = 0
        self._num_failures = 0
        self._unrecorded: list[FailureRecord] = []
        self._cores: tuple[int, ...] = ()

    def close(self) -> None:
        """End the fork server and any child."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def start(self, task: SlotTask) -> None:
        """Start the fork server of a task, which imports what attempts need.

        Raises:
            ForkServerLost: It cannot be started, most likely for what it imports.
        """
        self._server_for(task).ensure_started()

    def run(self, task: SlotTask, visible_devices: str) -> SlotResult:
        """Do the missing work of one trial; a statistic that fails does not stop the others.

        Args:
            task: What to do.
            visible_devices: The child's CUDA_VISIBLE_DEVICES; "-1" for none.
        """
        with claimed_cores(task.num_threads, self._cores) as self._cores:
            return self._run(task, visible_devices)

    def _run(self, task: SlotTask, visible_devices: str) -> SlotResult:
        self._num_attempts = self._num_failures = 0
        statuses: list[Status] = []
        for work in _work_of(task):
            statuses.append(self._do(work, visible_devices))
            is_over = statuses[-1] in {"elsewhere", "larger_share", "drained"}
            if is_over or (work.statistic is None and statuses[-1] == "failed"):
                break
        worst: Status = max(statuses, key=_SEVERITY.index, default=_SEVERITY[0])
        return SlotResult(
            trial_id=task.trial_id,
            status=worst,
            num_attempts=self._num_attempts,
            num_failures=self._num_failures,
        )

    def _do(self, work: Work, visible_devices: str) -> Status:
        """Try until it is done, or a class of failure has reached its cap in this run."""
        task, store = work.task, Store.open(work.task.store)

        def must_stop() -> bool:
            return self._is_leaving() or self._is_stopping() or is_stop_asked(store, task)

        classes = _earlier_classes(store, work)
        while should_retry(classes, task.num_smaller_shares):
            if must_stop():
                return "drained"
            if _is_known_to_be_committed(store, work):
                return "done"
            server = self._server_for(task)
            attempt = SupervisedAttempt(
                store, work, server, visible_devices, cores=self._cores, is_stop_asked=must_stop
            )
            failure, status = attempt.run()
            self._num_attempts += attempt.has_started
            if failure is None:
                is_preempted = status == "drained" and self._is_leaving()
                told = [attempt.failure_record(failure_of_notice())] if is_preempted else []
                self._record(store, *told)
                return status
            self._num_failures += 1
            self._record(store, attempt.failure_record(failure))
            classes.append(failure.failure_class)
            if wants_larger_share(failure.failure_class, task.device_share):
                return "larger_share"
            can_retry = should_retry(classes, task.num_smaller_shares)
            if failure.failure_class == "model_lost" and can_retry:
                again = Work(task, None, is_repeated=True)
                if (status := self._do(again, visible_devices)) != "done":
                    return status
            elif can_retry:
                _wait(wait_before_retry(classes), must_stop)
        # the last attempt may have failed, or been lost, just after its commit
        return "done" if _is_known_to_be_committed(store, work) else "failed"

    def _record(self, store: Store, *failures: FailureRecord) -> None:
        """Commit failures to their view; while the store is out of reach they wait."""
        self._unrecorded += failures
        with suppress(StoreError):
            while self._unrecorded:
                row = self._unrecorded[0]
                rows = records.table("failures", [row])
                store.commit("failures", (row.trial_id, row.attempt_id), row.attempt_id, rows)
                del self._unrecorded[0]

    def _server_for(self, task: SlotTask) -> ForkServer:
        wanted = (task.entry, task.is_right_with_onednn)
        server = self._server
        if server is None or (server.entry, server.is_right_with_onednn) != wanted:
            self.close()
            server = ForkServer(task.entry, is_right_with_onednn=task.is_right_with_onednn)
            self._server = server
        return server


def _work_of(task: SlotTask) -> list[Work]:
    training = [] if task.is_trained else [Work(task, None)]
    return training + [Work(task, statistic) for statistic in task.statistics]


def _earlier_classes(store: Store, work: Work) -> list[str]:
    """List the classes of failure that this work had in this run, in lost slots or elsewhere."""
    with suppress(StoreError):
        return failure_classes(store, work)
    return []


def _is_known_to_be_committed(store: Store, work: Work) -> bool:
    with suppress(StoreError):  # the attempt will report it
        return is_committed(store, work)
    return False


def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_over():
        time.sleep(min(1.0, seconds))
