"""How fast a sweep goes: trials finished lately, and the steps per second of live trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.liveness.heartbeats import seconds_between
from orchestrator.monitor.time_left import units_per_second
from orchestrator.planning.store_state import StoreState
from workers.contract.lacking import Missing
from workers.contract.orders import Heartbeat
from workers.contract.store import Store

_WINDOW_SECONDS = 3600.0
_SHORTEST_SECONDS = 60.0


@dataclass(frozen=True)
class Throughput:
    """The pace of the last hour.

    Attributes:
        num_finished: Trials whose last record was committed within the window.
        window_seconds: An hour, or less when the run, or the first live attempt, began within it.
        since: When the window begins, in words.
        trials_per_hour: Over the window; None when it is shorter than a minute.
        steps_per_second: Of training, summed over live attempts, each since it began, its start and
            checkpoints included; None when it is too early for all of them.
        num_training: Attempts in that sum.
    """

    num_finished: int
    window_seconds: float
    since: str
    trials_per_hour: float | None
    steps_per_second: float | None
    num_training: int


def throughput(
    missing: Sequence[Missing],
    state: StoreState,
    running: Sequence[Heartbeat],
    now: datetime,
    runs_began: Sequence[str] = (),
) -> Throughput:
    """Return the pace of the last hour, or of less when the sweep began within it.

    Args:
        missing: The plan's trials with what each lacks.
        state: What the store holds.
        running: Live attempts.
        now: Time by this machine's clock.
        runs_began: When the runs of live attempts began, where that is known.
    """
    moment = now.astimezone(UTC).isoformat()
    window, since = _window(running, runs_began, moment)
    ended, done = _last_commits(state), [item.planned.trial_id for item in missing if item.is_done]
    ages = [seconds_between(ended.get(name, ""), moment) for name in done]
    num_finished = sum(1 for age in ages if age <= window)
    rates = [
        rate for beat in running if beat.statistic is None and (rate := units_per_second(beat))
    ]
    return Throughput(
        num_finished=num_finished,
        window_seconds=window,
        since=since,
        trials_per_hour=num_finished * 3600 / window if window >= _SHORTEST_SECONDS else None,
        steps_per_second=sum(rates) if rates else None,
        num_training=len(rates),
    )


def runs_began(store: Store, sweep: str, running: Sequence[Heartbeat]) -> list[str]:
    """Return when the runs of live attempts began, as they registered (ISO 8601).

    Raises:
        StoreError: The store cannot be read.
    """
    run_ids = sorted({beat.run_id for beat in running})
    owners = [store.read_json(Store.run_path(sweep, run_id)) for run_id in run_ids]
    return [str(owner.get("started_at")) for owner in owners if isinstance(owner, dict)]


def _window(running: Sequence[Heartbeat], began: Sequence[str], moment: str) -> tuple[float, str]:
    starts = [(began, "the run"), ([beat.started_at for beat in running], "the first live attempt")]
    for times, since in starts:
        ages = [age for time in times if (age := seconds_between(time, moment)) >= 0]
        if ages:
            oldest = max(ages)
            return (oldest, since) if oldest < _WINDOW_SECONDS else (_WINDOW_SECONDS, "an hour ago")
    return _WINDOW_SECONDS, "an hour ago"


def _last_commits(state: StoreState) -> dict[str, str]:
    """Return the time of each trial's last record, of its training or a statistic (ISO 8601)."""
    times = {name: trial.committed_at for name, trial in state.trials.items()}
    for (name, _), found in state.statistics.items():
        times[name] = max(times.get(name, ""), found.committed_at)
    return times
