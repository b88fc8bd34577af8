"""How fast a sweep goes: trials finished lately, and the steps per second of live trainings."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.liveness.heartbeats import seconds_between
from orchestrator.monitor.time_left import units_per_second
from orchestrator.planning.store_state import StoreState
from workers.contract.lacking import Missing
from workers.contract.orders import Heartbeat
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store

_WINDOW_SECONDS = 3600.0
_SHORTEST_SECONDS = 60.0
_LONGEST_GAP_SECONDS = 60.0
"""Between two pieces of work of one run: starting Ray, choosing the next; a longer one is a pause."""


@dataclass(frozen=True)
class Throughput:
    """The pace of the last hour, or of all work where that is longer ago and nothing runs.

    Attributes:
        num_finished: Trials whose last record was committed within the window.
        window_seconds: An hour, or less when the run, or the first live attempt, began within it;
            infinite where all work counts.
        since: When the window begins, in words.
        trials_per_hour: Over the time worked within the window; None when that is below a minute.
        steps_per_second: Of training, summed over live attempts, each since it began, its start and
            checkpoints included; None when it is too early for all of them.
        num_training: Attempts in that sum.
        worked_seconds: Of the window, the time in which an attempt was at work, pauses left out.
    """

    num_finished: int
    window_seconds: float
    since: str
    trials_per_hour: float | None
    steps_per_second: float | None
    num_training: int
    worked_seconds: float = 0.0


def as_asked(plan: PlanDocument, state: StoreState) -> StoreState:
    """Return what is recorded of a plan's work, without what other sweeps measured of the trials they share with it."""
    of_seeds = {
        seed: {name for item in plan.statistics_of(seed) for name in item.accepted_ids}
        for seed in {each.trial.seed for each in plan.trials}
    }
    asked = {each.trial_id: of_seeds[each.trial.seed] for each in plan.trials}
    trials = {name: found for name, found in state.trials.items() if name in asked}
    statistics = {
        key: found for key, found in state.statistics.items() if key[1] in asked.get(key[0], ())
    }
    return replace(state, trials=trials, statistics=statistics)


def throughput(
    missing: Sequence[Missing],
    state: StoreState,
    running: Sequence[Heartbeat],
    now: datetime,
    runs_began: Sequence[str] = (),
) -> Throughput:
    """Return the pace of the last hour, of less when the sweep began within it, or of all its work.

    Args:
        missing: The plan's trials with what each lacks.
        state: What the store holds of it, as `as_asked` returns it.
        running: Live attempts.
        now: Time by this machine's clock.
        runs_began: When the runs of live attempts began, where that is known.
    """
    moment = now.astimezone(UTC).isoformat()
    window, since = _window(running, runs_began, moment)
    ended, done = _last_commits(state), [item.planned.trial_id for item in missing if item.is_done]
    ages = [seconds_between(ended.get(name, ""), moment) for name in done]
    num_finished, shortest = sum(1 for age in ages if age <= window), _SHORTEST_SECONDS
    if not running and not num_finished:
        window, since, num_finished = math.inf, "the sweep", sum(map(math.isfinite, ages))
        shortest = 1.0  # all of it is over: no rate to come is guessed from it
    trials = {item.planned.trial_id for item in missing}
    recorded = [(began, ended) for _, began, ended in recorded_work(state, trials, moment)]
    work = [*recorded, *_live_work(running, moment)]
    worked = round(worked_seconds(work, window), 3)  # the last digits of ages go with the clock
    rates = [
        rate for beat in running if beat.statistic is None and (rate := units_per_second(beat))
    ]
    return Throughput(
        num_finished=num_finished,
        window_seconds=window,
        since=since,
        trials_per_hour=num_finished * 3600 / worked if worked >= shortest else None,
        steps_per_second=sum(rates) if rates else None,
        num_training=len(rates),
        worked_seconds=worked,
    )


def worked_seconds(work: Iterable[tuple[float, float]], window: float = math.inf) -> float:
    """Return the time in which something was at work, each piece given by the ages of its ends [s].

    Pieces that overlap count once, and gaps of up to a minute between them count as work; what is
    older than the window does not.
    """
    total, reached = 0.0, math.inf
    for began, ended in sorted(work, reverse=True):
        oldest = began if reached - began > _LONGEST_GAP_SECONDS else reached
        first, last = min(oldest, window), min(ended, window)
        total += max(0.0, first - max(last, 0.0)) if reached > ended else 0.0
        reached = min(reached, ended)
    return total


def recorded_work(
    state: StoreState, trials: Collection[str], moment: str
) -> Iterator[tuple[str, float, float]]:
    """Yield each recorded training and statistic of these trials: the trial, how long ago it began and ended [s]."""
    recorded = [
        *((name, each.committed_at, each.wall_seconds) for name, each in state.trials.items()),
        *((key[0], each.committed_at, each.wall_seconds) for key, each in state.statistics.items()),
    ]
    for name, committed_at, seconds in recorded:
        age = seconds_between(committed_at, moment)
        if name in trials and math.isfinite(age):
            yield name, age + (seconds or 0.0), age


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


def _live_work(running: Sequence[Heartbeat], moment: str) -> Iterator[tuple[float, float]]:
    for beat in running:
        age = seconds_between(beat.started_at, moment)
        if age > 0:
            yield age, 0.0


def _last_commits(state: StoreState) -> dict[str, str]:
    """Return the time of each trial's last record, of its training or a statistic (ISO 8601)."""
    times = {name: trial.committed_at for name, trial in state.trials.items()}
    for (name, _), found in state.statistics.items():
        times[name] = max(times.get(name, ""), found.committed_at)
    return times
