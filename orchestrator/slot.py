"""A slot: one place for a trial on a machine; it runs the trial's missing work, attempt by attempt."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.attempt import Attempt
from orchestrator.child import ForkServer
from orchestrator.cores import claimed_cores
from orchestrator.failures import Failure, should_retry, wait_before_retry
from orchestrator.task import SlotResult, SlotTask, Status, Work, is_stop_asked
from workers.contract.store import Store

_SEVERITY: list[Status] = ["done", "failed", "drained"]


class Slot:
    """Runs tasks one after another, each attempt in a fresh child of its own fork server."""

    def __init__(self) -> None:
        self._server: ForkServer | None = None
        self._num_attempts = 0
        self._num_failures = 0
        self._cores: tuple[int, ...] = ()

    def close(self) -> None:
        """End the fork server and any child."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def run(self, task: SlotTask, visible_devices: str) -> SlotResult:
        """Do the missing work of one trial; a statistic that fails leaves the others alone.

        Args:
            task: What to do.
            visible_devices: The child's CUDA_VISIBLE_DEVICES; "-1" for none.
        """
        with claimed_cores(task.num_threads) as self._cores:
            return self._run(task, visible_devices)

    def _run(self, task: SlotTask, visible_devices: str) -> SlotResult:
        self._num_attempts = self._num_failures = 0
        statuses: list[Status] = []
        for work in _work_of(task):
            statuses.append(self._do(work, visible_devices))
            if statuses[-1] == "drained" or (work.statistic is None and statuses[-1] == "failed"):
                break
        worst: Status = max(statuses, key=_SEVERITY.index, default=_SEVERITY[0])
        return SlotResult(
            trial_id=task.planned.trial_id,
            status=worst,
            num_attempts=self._num_attempts,
            num_failures=self._num_failures,
        )

    def _do(self, work: Work, visible_devices: str) -> Status:
        store = Store.open(work.task.store)
        failures: list[Failure] = []
        has_retrained = False
        while True:
            if is_stop_asked(store, work.task):
                return "drained"
            self._num_attempts += 1
            attempt = Attempt(store, work, self._server_for(work.task), visible_devices)
            attempt.cores = self._cores
            failure, status = attempt.run()
            if failure is None:
                return status
            failures.append(failure)
            self._num_failures += 1
            attempt.record(failure)
            if failure.failure_class == "model_lost" and not has_retrained:
                has_retrained = True  # the kept model is gone or damaged: make it again
                if (status := self._do(Work(work.task, None), visible_devices)) != "done":
                    return status
                continue
            if not should_retry(failures):
                return "failed"
            _wait(wait_before_retry(failures), lambda: is_stop_asked(store, work.task))

    def _server_for(self, task: SlotTask) -> ForkServer:
        if self._server is None or self._server.entry != task.entry:
            self.close()
            self._server = ForkServer(task.entry)
        return self._server


def _work_of(task: SlotTask) -> list[Work]:
    training = [] if task.is_trained else [Work(task, None)]
    return training + [Work(task, statistic) for statistic in task.statistics]


def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_over():
        time.sleep(min(1.0, seconds))
