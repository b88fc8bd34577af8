"""What one run did and how fast, for its last words: what the store gained since it began."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from analysis.text.number_text import plain
from orchestrator.monitor.plan_report import cost_unit, hours
from orchestrator.monitor.throughput import as_asked, recorded_work, worked_seconds
from orchestrator.planning.estimate import duration
from orchestrator.planning.prepare import Prepared
from orchestrator.planning.store_state import StoreState
from workers.contract.lacking import lacking

_SHORTEST_SECONDS = 1.0
"""Of work; over less no rate is told."""


@dataclass(frozen=True)
class RunPace:
    """What the store gained of the work that a run began with, whoever did it.

    Attributes:
        num_finished: Trials that were open and are done.
        wall_seconds: Since the run began, with all that is no trial's work.
        worked_seconds: Of it, the time in which something now on record was at work.
        trials_per_hour: `num_finished` over `worked_seconds`; None where that is below a second.
        cost_hours: Time of the trainings and statistics now on record, times the GPUs, else cores, that
            a trial held; attempts that failed left no time.
        unit: Of the cost.
    """

    num_finished: int
    wall_seconds: float
    worked_seconds: float
    trials_per_hour: float | None
    cost_hours: float
    unit: str


def run_pace(prepared: Prepared, state: StoreState, began: datetime, now: datetime) -> RunPace:
    """Compare what the store held before a run with what it holds after it.

    Work that began before the run, and was resumed, counts from the run's beginning on.

    Args:
        prepared: The sweep and its store as the run found them.
        state: What the store holds now.
        began: When the run began, by this machine's clock.
        now: By the same clock.
    """
    opened = {item.planned.trial_id for item in prepared.open_work}
    num_finished = sum(
        item.is_done for item in lacking(prepared.plan, state) if item.planned.trial_id in opened
    )
    wall = max(0.0, (now - began).total_seconds())
    work = _gained_work(prepared.state, as_asked(prepared.plan, state), opened, now)
    worked = round(worked_seconds([(first, last) for _, first, last in work], wall), 3)
    resources, cost = prepared.sweep.resources, 0.0
    for name, first, last in work:
        record = state.trials.get(name)
        share = resources.gpus if record is None else record.device_share
        held = share if resources.gpus else float(resources.cpus)
        cost += held * max(0.0, min(first, wall) - max(last, 0.0)) / 3600
    return RunPace(
        num_finished=num_finished,
        wall_seconds=wall,
        worked_seconds=worked,
        trials_per_hour=num_finished * 3600 / worked if worked >= _SHORTEST_SECONDS else None,
        cost_hours=cost,
        unit=cost_unit(resources),
    )


def run_line(pace: RunPace) -> str:
    """Return the pace of a run in one line."""
    trials = "1 trial" if pace.num_finished == 1 else f"{pace.num_finished:,} trials"
    parts = [f"this run: {trials} finished in {duration(pace.wall_seconds)}"]
    if pace.num_finished and pace.trials_per_hour is not None:
        worked = duration(pace.worked_seconds)
        parts.append(f"{plain(pace.trials_per_hour, 3)} trials/h over {worked} of work")
    return ", ".join([*parts, f"{hours(pace.cost_hours)} {pace.unit} on record"])


def _gained_work(
    before: StoreState, after: StoreState, trials: Collection[str], now: datetime
) -> list[tuple[str, float, float]]:
    """Return the work on these trials that only the later state has, as `recorded_work` does."""
    gained = replace(
        after,
        trials={name: each for name, each in after.trials.items() if name not in before.trials},
        statistics={
            key: each for key, each in after.statistics.items() if key not in before.statistics
        },
    )
    return list(recorded_work(gained, trials, now.astimezone(UTC).isoformat()))
