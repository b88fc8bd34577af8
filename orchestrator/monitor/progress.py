"""Show a running sweep: bars on a terminal, a line per change elsewhere; both on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orchestrator.liveness.heartbeats import HeartbeatReader
from orchestrator.monitor.status import SweepStatus, status_of, with_time_left
from orchestrator.monitor.tables import device_table, status_table, time_left, what_runs
from orchestrator.monitor.time_left import with_live_pace
from orchestrator.planning.prepare import Prepared
from orchestrator.planning.recorded_pace import recorded_pace
from orchestrator.planning.store_state import FailedAttempt, StoreState
from workers.contract.errors import StoreError
from workers.contract.lacking import Missing, lacking
from workers.contract.orders import Heartbeat

_REFRESH_SECONDS = 5.0
"""From look to look; more where one takes more processor time than `_CHEAP_SECONDS`, as those of large sweeps."""
_CHEAP_SECONDS = 0.05
_MOST_TIMES = 4.0
"""Of the usual time: what has been silent for long is found by looks of which none is 30 s after another (`Silence`)."""


def _live(console: Console) -> Live:
    """Return what redraws a terminal in place.

    Standard output is left alone: rich would print what Ray writes there, which is discarded.
    """
    return Live(console=console, auto_refresh=False, redirect_stdout=False)


class ProgressView:
    """View of a running sweep, which reads the store every few seconds.

    Attributes:
        failures: Failures of this plan's trials since the run began.
        heartbeats: Of the attempts that say they run, at trials of this plan that were open.
        num_reads: How often the store was read.
    """

    def __init__(
        self,
        prepared: Prepared,
        num_slots: int,
        console: Console,
        *,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._store, self._plan = prepared.store, prepared.plan
        self._estimator, self._num_slots = prepared.estimator, num_slots
        self._known_failures = frozenset(item.attempt_id for item in prepared.state.failures)
        # also once they are done, as their slots may still hang
        self._tended = {item.planned.trial_id for item in prepared.open_work}
        self._records = prepared.records
        self._heartbeats = HeartbeatReader(prepared.store)
        self._console, self._is_stopping = console, is_stopping
        self.failures: list[FailedAttempt] = []
        self.heartbeats: list[Heartbeat] = []
        self.num_reads = 0
        self._is_away = False
        self._live = _live(console) if console.is_terminal else None
        self._look_at = 0.0
        self._said = ""

    def __enter__(self) -> ProgressView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self) -> None:
        """Look and show, unless just done; an unreachable store is reported once."""
        now, spent = time.monotonic(), time.thread_time()
        if now < self._look_at:
            return
        self._look()
        times = (time.thread_time() - spent) / _CHEAP_SECONDS
        self._look_at = now + _REFRESH_SECONDS * min(max(times, 1.0), _MOST_TIMES)

    def _look(self) -> None:
        try:
            state = self._records.look()
            missing = lacking(self._plan, state)
            open_trials = {item.planned.trial_id for item in missing if not item.is_done}
            found = self._heartbeats.look(open_trials | self._tended, datetime.now(UTC))
        except StoreError as error:
            if not self._is_away:
                what = f"the store does not answer, looking again: {error}"
                self._console.print(what, markup=False, highlight=False)
            self._is_away = True
            return
        self._is_away = False
        trials = {planned.trial_id for planned in self._plan.trials}
        self.failures = [
            item
            for item in state.failures
            if item.trial_id in trials and item.attempt_id not in self._known_failures
        ]
        self.heartbeats = found.live + found.silent
        self.num_reads += 1
        running = [beat for beat in found.live if beat.trial_id in open_trials]
        self._show(self._estimated(state, missing, running))

    def _estimated(
        self, state: StoreState, missing: list[Missing], running: list[Heartbeat]
    ) -> SweepStatus:
        """Estimate the time left from what was recorded so far, else at a stated speed."""
        pace = recorded_pace(self._plan, state, self._estimator.num_train)
        pace = with_live_pace(pace, self._plan, running)
        estimator = self._estimator.calibrated(self._plan, pace)
        status = status_of(self._plan, missing, running, state.outcomes)
        return with_time_left(status, missing, estimator, self._num_slots)

    def _show(self, status: SweepStatus) -> None:
        note = (
            "draining: trials save and leave"
            if self._is_stopping()
            else time_left(status.seconds_left)
        )
        if self._live:
            tables = [status_table(status, has_times=False)]
            tables += [device_table(status)] if status.running else []
            self._live.update(Group(*tables, Text(note)), refresh=True)
            return
        done = f"{status.num_done} of {status.num_trials} trials done"
        running = f"{len(status.running)} running"
        doing, where = what_runs(status), what_runs(status, has_epochs=False)
        if f"{done}{running}{where}{note}" != self._said:  # an epoch alone is no news
            self._said = f"{done}{running}{where}{note}"
            line = f"{done}, {running}{f' ({doing})' if doing else ''}, {note}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
