"""How long work will take: from trials already recorded, else from multiply-adds and a stated speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.planning.recorded_pace import RecordedPace, recorded_pace
from orchestrator.planning.schedule import ends_of
from orchestrator.planning.store_state import StoreState
from workers.contract.dataset_facts import DatasetFacts
from workers.contract.items import ASSUMED_GRADIENTS, StatisticItem
from workers.contract.lacking import Missing
from workers.contract.plan_document import PlanDocument
from workers.contract.specs import PluginSpec, TrialSpec
from workers.contract.statistics import StatisticSpec
from workers.contract.sweep_spec import ResourcesSpec

MULTIPLY_ADDS_PER_CPU_SECOND = 2.0e10
"""Training speed of one thread, forward and backward: ResNet-20 on one thread and ResNet-56 on two, at
batch 50 and 100 on a 2-core x86-64 server, gave 1.7-2.0e10."""
MULTIPLY_ADDS_PER_GPU_SECOND = 1.0e12
"""Assumed for one GPU; replaced by recorded trials as soon as there are some."""
START_SECONDS = 4.0
"""Of one attempt, before any is recorded: fork, build, trace."""


@dataclass(frozen=True)
class Estimator:
    """Estimates seconds of work for one plan.

    Attributes:
        num_train: Of the data set used.
        multiply_adds: Of one forward pass of one example; NaN where the model does not tell.
        speed: Multiply-adds a second of one slot, for what was not recorded.
        has_own_unit: The speed is that of trainings of a model that tells no multiply-adds, in examples.
        pace: What was recorded of such work.
        is_timed: Trainings were timed on this machine, by a few steps.
    """

    num_train: int
    multiply_adds: float
    speed: float
    pace: RecordedPace = field(default_factory=RecordedPace)
    is_timed: bool = False
    has_own_unit: bool = False

    @property
    def example_work(self) -> float:
        """One forward pass of one example, in the unit that the speed is in; NaN where it is unknown."""
        return 1.0 if self.has_own_unit else self.multiply_adds

    @property
    def start_seconds(self) -> float:
        """What an attempt takes before it is at work."""
        return START_SECONDS if self.pace.starting is None else self.pace.starting

    def training_seconds(self, trial: TrialSpec) -> float:
        """Estimate one trial's training."""
        known = self.pace.training_seconds(trial.batch_size)
        return self.start_seconds + (
            _training_work(trial, self) / self.speed if known is None else known
        )

    def statistic_seconds(
        self, statistic: StatisticSpec, statistic_id: str = "", batch_size: int | None = None
    ) -> float:
        """Estimate one statistic of one trial."""
        known = self.pace.statistic_seconds(statistic_id, statistic.name, batch_size)
        if known is not None:
            return self.start_seconds + known
        gradients = ASSUMED_GRADIENTS
        if isinstance(statistic, StatisticItem):
            gradients = statistic.stated_gradients(batch_size or 1, self.num_train)
        return self.start_seconds + gradients * 3 * self.num_train * self.example_work / self.speed

    def at_stated_speed(self, resources: ResourcesSpec) -> Estimator:
        """Estimate as if nothing were recorded, on other resources."""
        return Estimator(self.num_train, self.multiply_adds, stated_speed(resources))

    def calibrated(self, plan: PlanDocument, pace: RecordedPace) -> Estimator:
        """Estimate by what was recorded; without a recorded training as before."""
        mean, known = pace.training.get(None), replace(self, pace=pace)
        if mean is None or not mean > 0:
            return known
        return known._with_speed_of(plan.trials[0].trial, mean)

    def timed(self, trial: TrialSpec, seconds: Mapping[int, float]) -> Estimator:
        """Estimate by trainings timed on this machine; statistics by the fastest, where none was recorded.

        Args:
            trial: Of the plan.
            seconds: Of one training, by batch size.
        """
        of_all: dict[int | None, float] = {None: sum(seconds.values()) / len(seconds)}
        of_sizes: dict[int | None, float] = dict(seconds.items())
        pace = replace(self.pace, training=of_all | of_sizes)
        known = replace(self, pace=pace, is_timed=True)
        return known._with_speed_of(trial, min(seconds.values()))

    def _with_speed_of(self, trial: TrialSpec, seconds: float) -> Estimator:
        """Take the speed of a training; of a plugin, in units of its own: then statistics go by trainings."""
        known = replace(self, has_own_unit=math.isnan(self.multiply_adds))
        return replace(known, speed=_training_work(trial, known) / seconds)

    def seconds(self, missing: Missing) -> float:
        """Estimate all missing work of one trial."""
        trial = missing.planned.trial
        training = 0.0 if missing.is_trained else self.training_seconds(trial)
        statistics = (
            self.statistic_seconds(item.statistic, item.statistic_id, trial.batch_size)
            for item in missing.statistics
        )
        return training + sum(statistics)

    @property
    def source(self) -> str:
        """What the estimate rests on."""
        number = self.pace.num_trials
        if self.is_timed:
            return "by steps timed on this machine"
        if not number:
            return "by a stated speed"
        of = "" if self.pace.is_of_plan else " of other sweeps"
        return f"by {number} recorded trial{'s' if number > 1 else ''}{of}"


def make_estimator(
    plan: PlanDocument, state: StoreState, facts: DatasetFacts, resources: ResourcesSpec
) -> Estimator:
    """Calibrate on trials recorded in the store, the plan's own first, else on the stated speeds."""
    work = _multiply_adds(plan.trials[0].trial, facts)
    stated = Estimator(facts.num_train, work, stated_speed(resources))
    return stated.calibrated(plan, recorded_pace(plan, state, facts.num_train))


def store_estimator(plan: PlanDocument, pace: RecordedPace, num_train: int = 1) -> Estimator:
    """Estimate without the data set at hand: trainings as recorded, statistics by them.

    Both grow with multiply-adds, so these drop out; nothing recorded gives NaN.
    """
    return Estimator(num_train, 1.0, math.nan).calibrated(plan, pace)


def stated_speed(resources: ResourcesSpec) -> float:
    """Return the multiply-adds a second that a slot is assumed to do before anything is recorded."""
    if resources.gpus:
        return MULTIPLY_ADDS_PER_GPU_SECOND * resources.gpus
    return MULTIPLY_ADDS_PER_CPU_SECOND * resources.cpus


def total_seconds(work: Sequence[float], slots: int) -> float:
    """Estimate the wall time of pieces of work on slots, longest first; NaN when one is unknown."""
    pieces = {str(number): seconds for number, seconds in enumerate(work)}
    return max(ends_of(pieces, slots).values(), default=0.0)


def _training_work(trial: TrialSpec, estimator: Estimator) -> float:
    return 3.2 * trial.training.epochs * estimator.num_train * estimator.example_work


def _multiply_adds(trial: TrialSpec, facts: DatasetFacts) -> float:
    if isinstance(trial.model, PluginSpec):
        return math.nan
    return trial.model.multiply_adds(facts.input_shape, facts.num_outputs)


def duration(seconds: float) -> str:
    """Write seconds for a person: 40 s, 12 min, 3.5 h, 21 days."""
    if not math.isfinite(seconds):
        return "unknown"
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if unit == "h" and value < 10 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
