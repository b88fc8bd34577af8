"""A run, and what it does every second while trials are at work: show, tell slots to stop, end what hangs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from orchestrator.liveness.run_control import RunControl
from orchestrator.monitor.progress import ProgressView
from orchestrator.planning.prepare import Options, Prepared
from orchestrator.running.driver import Driver
from orchestrator.slots.failures import common_cause, given_up, num_larger_shares
from orchestrator.slots.hung_slots import HungSlots, Slots


@dataclass(frozen=True)
class Run:
    """One run of the command: what it does, as it was told, and over which driver."""

    prepared: Prepared
    options: Options
    control: RunControl
    console: Console
    scratch: Path
    driver: Driver
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over_time(self) -> bool:
        """Whether its time budget, if it has one, is used up."""
        budget = self.options.time_budget_seconds
        return budget is not None and time.monotonic() - self.began >= budget


class Watch:
    """Called every second while trials run, with the slots at work."""

    def __init__(self, run: Run, view: ProgressView) -> None:
        self._run, self._view = run, view
        self._hung = HungSlots(run.options.silence_seconds, run.options.idle_seconds)
        self._num_reads = 0

    def __call__(self, slots: Slots | None = None) -> None:
        """Look once; without slots none can be ended."""
        self._view.update()
        self._run.control.poll()
        if not self._run.control.is_stopping:
            self._stop_if_over()
        if self._view.num_reads != self._num_reads:
            self._num_reads = self._view.num_reads
            if slots is not None:
                self._end_hung(slots)

    def _stop_if_over(self) -> None:
        failures = self._view.failures
        num_smaller = num_larger_shares(self._run.prepared.sweep.resources.gpus)
        lost = given_up(failures, num_smaller)
        reason = common_cause(failures, num_smaller)
        if reason is None and self._run.options.is_fail_fast and lost:
            first = min(lost.values(), key=lambda failure: failure.attempt_id)
            reason = f"--fail-fast, and a trial failed ({first.failure_class}: {first.signature})"
        if reason is None and self._run.is_over_time:
            reason = "the time budget is used up; the same command resumes"
        if reason is not None:
            self._run.console.print(f"stopping: {reason}", markup=False, highlight=False)
            self._run.control.ask_to_stop(reason)

    def _end_hung(self, slots: Slots) -> None:
        ours = [beat for beat in self._view.heartbeats if beat.run_id == self._run.control.run_id]
        hung = self._hung.find(ours, slots.busy(), time.monotonic())
        if hung and self._run.control.is_heard():  # else no slot can be either
            for trial_id in hung:
                slots.end(trial_id)
