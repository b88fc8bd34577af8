"""Show a running sweep: bars on a terminal, a line a change elsewhere; both on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from orchestrator.estimate import total_seconds
from orchestrator.missing import FailedAttempt, Missing, missing_of, read_state
from orchestrator.prepare import Prepared
from orchestrator.status import live_heartbeats, status_of
from orchestrator.tables import running_table, status_table, time_left
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat

_REFRESH_SECONDS = 5.0


class ProgressView:
    """Looks at the store every few seconds and shows what it finds.

    Attributes:
        failures: Those of this plan's trials that came since the run began.
        running: Heartbeats of the attempts that live.
        num_looks: How often it has found the store.
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
        self._console, self._is_stopping = console, is_stopping
        self.failures: list[FailedAttempt] = []
        self.running: list[Heartbeat] = []
        self.num_looks = 0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._looked_at = 0.0
        self._said = ""

    def __enter__(self) -> ProgressView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self) -> None:
        """Look and show, unless that was done a moment ago; a store that is away shows nothing new."""
        now = time.monotonic()
        if now - self._looked_at < _REFRESH_SECONDS:
            return
        self._looked_at = now
        try:
            state = read_state(self._store)
            missing = missing_of(self._plan, state)
            open_trials = {item.planned.trial_id for item in missing if not item.is_done}
            running = live_heartbeats(self._store, open_trials, datetime.now(UTC))
        except StoreError:
            return
        trials = {planned.trial_id for planned in self._plan.trials}
        self.failures = [
            item
            for item in state.failures
            if item.trial_id in trials and item.attempt_id not in self._known_failures
        ]
        self.running = running
        self.num_looks += 1
        self._show(missing, running)

    def _show(self, missing: list[Missing], running: list[Heartbeat]) -> None:
        status = status_of(self._plan, missing, running)
        left = time_left(self._seconds_left(missing, running))
        note = "draining: trials save and leave" if self._is_stopping() else left
        if self._live:
            caption = Table.grid()
            caption.add_row(note)
            self._live.update(
                Group(status_table(status), running_table(running), caption), refresh=True
            )
            return
        line = (
            f"{status.num_done} of {status.num_trials} trials done, {len(running)} running, {note}"
        )
        if line != self._said:
            self._said = line
            self._console.print(line, highlight=False)

    def _seconds_left(self, missing: list[Missing], running: list[Heartbeat]) -> float:
        shares = {
            beat.trial_id: beat.progress.done / beat.progress.total
            for beat in running
            if beat.progress.total and beat.statistic is None
        }
        work = [
            self._estimator.seconds(item) * (1 - shares.get(item.planned.trial_id, 0.0))
            for item in missing
            if not item.is_done
        ]
        return total_seconds(work, self._num_slots)
