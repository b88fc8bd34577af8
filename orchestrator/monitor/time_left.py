"""When open trials will be done: live ones at their own pace, the others as slots come free."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.liveness.heartbeats import seconds_between
from orchestrator.planning.estimate import Estimator
from orchestrator.planning.recorded_pace import RecordedPace
from orchestrator.planning.schedule import ends_of
from workers.contract.lacking import Missing
from workers.contract.orders import Heartbeat
from workers.contract.plan_document import PlanDocument, PlannedStatistic

_TELLING_SECONDS = 20.0
"""An attempt younger than this is still starting, and its pace says little."""


def finish_times(
    missing: Sequence[Missing],
    running: Sequence[Heartbeat],
    estimator: Estimator,
    num_slots: int,
) -> dict[str, float]:
    """Estimate in how many seconds each open trial will be done.

    Live ones continue from where they are; the others follow, longest first, as slots come free.
    Infinite where there is no slot, NaN where the time of an earlier one is unknown.
    """
    beats = furthest(running)
    left = {
        item.planned.trial_id: seconds_left(item, beats.get(item.planned.trial_id), estimator)
        for item in missing
        if not item.is_done
    }
    live = {name: seconds for name, seconds in left.items() if name in beats}
    waiting = {name: seconds for name, seconds in left.items() if name not in beats}
    return live | ends_of(waiting, num_slots, busy=list(live.values()))


def seconds_left(missing: Missing, beat: Heartbeat | None, estimator: Estimator) -> float:
    """Estimate the time [s] of a trial's missing work, less what its live attempt has done."""
    if beat is None:
        return estimator.seconds(missing)
    trial, total = missing.planned.trial, 0.0
    for item in missing.statistics:
        typical = estimator.statistic_seconds(item.statistic, item.statistic_id, trial.batch_size)
        total += _attempt_seconds_left(beat, typical) if _is_at(beat, item) else typical
    if not missing.is_trained:
        typical = estimator.training_seconds(trial)
        total += _attempt_seconds_left(beat, typical) if beat.statistic is None else typical
    return total


def furthest(running: Sequence[Heartbeat]) -> dict[str, Heartbeat]:
    """Choose the live attempt of each trial that has done most: two drivers may repeat a trial."""
    chosen: dict[str, Heartbeat] = {}
    for beat in sorted(running, key=done_share, reverse=True):
        chosen.setdefault(beat.trial_id, beat)
    return chosen


def done_share(beat: Heartbeat) -> float:
    """Return the share of an attempt's work that is done, 0 to 1."""
    progress = beat.progress
    return min(max(progress.done / progress.total, 0.0), 1.0) if progress.total > 0 else 0.0


def units_per_second(beat: Heartbeat) -> float | None:
    """Return an attempt's pace since it began, its start included; None when it is too early.

    Both times come from the attempt's own machine, so that no difference of clocks enters.
    """
    made = beat.progress.done - (beat.progress.resumed_at or 0)
    seconds = seconds_between(beat.started_at, beat.beat_at)
    return made / seconds if made > 0 and seconds >= _TELLING_SECONDS else None


def with_live_pace(
    pace: RecordedPace, plan: PlanDocument, running: Sequence[Heartbeat]
) -> RecordedPace:
    """Return the recorded pace, with that of live trainings where none is recorded yet."""
    if pace.training:
        return pace
    sizes = {item.trial_id: item.trial.batch_size for item in plan.trials}
    seconds: dict[int | None, list[float]] = defaultdict(list)
    for beat in running:
        rate = units_per_second(beat)
        if beat.statistic is None and beat.progress.total > 0 and rate and beat.trial_id in sizes:
            for size in (sizes[beat.trial_id], None):
                seconds[size].append(beat.progress.total / rate)
    return replace(pace, training={size: sum(all_) / len(all_) for size, all_ in seconds.items()})


def _is_at(beat: Heartbeat, item: PlannedStatistic) -> bool:
    """Return whether an attempt takes this statistic; of earlier versions the name alone tells."""
    if beat.statistic_id is None:
        return beat.statistic == item.statistic.name
    return beat.statistic_id == item.statistic_id


def _attempt_seconds_left(beat: Heartbeat, typical: float) -> float:
    rate = units_per_second(beat)
    if rate is not None and beat.progress.total > 0:
        return max(beat.progress.total - beat.progress.done, 0) / rate
    return typical * (1 - done_share(beat))
