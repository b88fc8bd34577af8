"""How long trials and statistics took, as the store recorded it, by batch size: small ones are slower.

What was recorded of the plan's own trials counts, wherever there is some; else other trials in the
store with the same model and data set on the same kind of device, their time scaled by epochs and
examples. Of GPUs, shares are taken as proportional speeds; how many threads a trial had is not recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from statistics import median
from typing import NamedTuple

from orchestrator.liveness.heartbeats import seconds_between
from orchestrator.planning.store_state import RecordedTrial, StoreState, model_text
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM
from workers.contract.plan_document import PlanDocument

BatchSize = int | None
"""None: all batch sizes together."""

_MOST_STARTS = 200
"""Trials whose commits are looked at for what attempts take to start."""
_LONGEST_START = 60.0
"""Of an attempt; after more seconds without one nobody was at the trial."""


@dataclass(frozen=True)
class RecordedPace:
    """Mean seconds of what was recorded.

    Attributes:
        num_trials: Recorded trainings behind `training`.
        is_of_plan: They are the plan's own trials, not others like them.
        training: Of one training of the plan, by batch size.
        statistics: Of one statistic, by its id or name, and batch size.
        starting: From one commit of a trial to where the next attempt at it is at work; None where none is known.
    """

    num_trials: int = 0
    is_of_plan: bool = True
    training: Mapping[BatchSize, float] = field(default_factory=dict)
    statistics: Mapping[tuple[str, BatchSize], float] = field(default_factory=dict)
    starting: float | None = None

    def training_seconds(self, batch_size: int) -> float | None:
        """Return the mean of trainings with this batch size, else of all; None when there is none."""
        return self.training.get(batch_size, self.training.get(None))

    def statistic_seconds(
        self, statistic_id: str, name: str, batch_size: BatchSize = None
    ) -> float | None:
        """Return the mean of this very statistic, else of those of its name; batch size first."""
        for key in (statistic_id, name):
            for size in (batch_size, None):
                if (key, size) in self.statistics:
                    return self.statistics[key, size]
        return None


class _Like(NamedTuple):
    """A recorded trial that tells of the plan's: its batch size, and what scales its times to theirs."""

    batch_size: int
    training: float
    measuring: float


def recorded_pace(
    plan: PlanDocument, state: StoreState, num_train: int | None = None
) -> RecordedPace:
    """Find what the store recorded of such trials.

    Args:
        plan: Whose trials are to be estimated.
        state: The store's.
        num_train: Of the plan's data set; None where only the store is at hand.
    """
    own, others = _own_trials(plan, state), _other_trials(plan, state, num_train)
    is_of_plan = bool(own)
    measured, known = _statistic_means(state, own), _statistic_means(state, others)
    named = {key for key, _ in measured}
    statistics = measured | {key: mean for key, mean in known.items() if key[0] not in named}
    used = own if is_of_plan else others
    seconds = [
        (like.batch_size, state.wall_seconds[name] * like.training) for name, like in used.items()
    ]
    starting = _starting(state, own)
    return RecordedPace(len(seconds), is_of_plan, _means(seconds), statistics, starting)


def _own_trials(plan: PlanDocument, state: StoreState) -> dict[str, _Like]:
    found = {}
    for item in plan.trials:
        name = item.trial_id
        scale = _share_scale(state.trials.get(name), plan)
        if scale is not None and _is_whole(name, state):
            found[name] = _Like(item.trial.batch_size, scale, scale)
    return found


def _other_trials(plan: PlanDocument, state: StoreState, num_train: int | None) -> dict[str, _Like]:
    trial, planned = plan.trials[0].trial, {item.trial_id for item in plan.trials}
    model, found = model_text(trial), {}
    for name, record in state.trials.items():
        scale = _share_scale(record, plan)
        is_like = record.model == model and record.dataset == trial.dataset.name
        if name in planned or not is_like or scale is None or not _is_whole(name, state):
            continue
        size = num_train if record.data_digest != trial.data_digest else record.num_train
        if size is not None:
            measuring = scale * size / record.num_train
            training = measuring * trial.training.epochs / record.epochs
            found[name] = _Like(record.batch_size, training, measuring)
    return found


def _is_whole(name: str, state: StoreState) -> bool:
    """Return whether a training took its whole time: one that blew up was over early."""
    record = state.trials.get(name)
    is_empty = record is not None and (record.epochs < 1 or record.num_train < 1)
    is_cut = is_empty or state.outcomes.get(name) in OUTCOMES_WITHOUT_MINIMUM
    return not is_cut and state.wall_seconds.get(name, 0.0) > 0


def _share_scale(record: RecordedTrial | None, plan: PlanDocument) -> float | None:
    """Return what scales a record's times to the plan's resources; None for the other kind of device."""
    resources = plan.spec.get("resources")
    if record is None or not isinstance(resources, dict):
        return 1.0
    wanted = float(str(resources.get("gpus", 0)))
    if not wanted or not record.device_share:
        return 1.0 if wanted == record.device_share else None
    return record.device_share / wanted


def _statistic_means(
    state: StoreState, likes: Mapping[str, _Like]
) -> dict[tuple[str, BatchSize], float]:
    alike: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for (trial_id, statistic_id), recorded in state.statistics.items():
        like, seconds = likes.get(trial_id), recorded.wall_seconds
        if like is not None and seconds is not None and seconds > 0:
            key = statistic_id, recorded.name, like.batch_size
            alike[key].append(seconds * like.measuring)
    grouped: dict[tuple[str, BatchSize], list[float]] = defaultdict(list)
    for (statistic_id, name, batch_size), values in alike.items():
        for of in (statistic_id, name):
            grouped[of, batch_size] += values
            grouped[of, None] += values
    return {key: sum(values) / len(values) for key, values in grouped.items()}


def _starting(state: StoreState, own: Iterable[str]) -> float | None:
    """Return the median time that statistics took to start: one is measured as soon as what is before it is committed.

    Whatever was measured of a trial counts, be it for other sweeps, as its time at work is no start.
    """
    ended: dict[str, list[tuple[str, float]]] = {name: [] for name in islice(own, _MOST_STARTS)}
    for name, its in ended.items():
        if name in state.trials:
            its.append((state.trials[name].committed_at, 0.0))
    for (name, _), statistic in state.statistics.items():
        if name in ended and statistic.wall_seconds is not None:
            ended[name].append((statistic.committed_at, statistic.wall_seconds))
    found = [
        seconds_between(one, other) - at_work
        for its in ended.values()
        for (one, _), (other, at_work) in pairwise(sorted(its))
    ]
    starts = [each for each in found if 0 <= each < _LONGEST_START]
    return median(starts) if starts else None


def _means(seconds: Iterable[tuple[int, float]]) -> dict[BatchSize, float]:
    grouped: dict[BatchSize, list[float]] = defaultdict(list)
    for size, value in seconds:
        grouped[size].append(value)
        grouped[None].append(value)
    return {size: sum(values) / len(values) for size, values in grouped.items()}
