"""How long work will take: from trials already recorded, else from multiply-adds and a stated speed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.missing import Missing, StoreState
from workers.contract.plan_document import PlanDocument
from workers.contract.specs import MLPSpec, ResNetSpec, TrialSpec
from workers.contract.statistics import StatisticSpec, TracesSpec
from workers.contract.sweep_spec import ResourcesSpec
from workers.datasets.loading import DatasetFacts

MULTIPLY_ADDS_PER_CPU_SECOND = 2.0e10
"""Training speed of one thread, forward and backward: ResNet-20 on one thread and ResNet-56 on two, at
batch 50 and 100 on a 2-core x86-64 server, gave 1.7-2.0e10."""
MULTIPLY_ADDS_PER_GPU_SECOND = 1.0e12
"""Assumed for one GPU; replaced by recorded trials as soon as there are some."""
START_SECONDS = 4.0
"""Of one attempt: fork, build, trace."""
_TRACES_PASS = 2.6
"""Cost of `traces` in gradients, measured by tests/benchmarks/measurement_cost.py."""


@dataclass(frozen=True)
class Estimator:
    """Estimates seconds of work for one plan.

    Attributes:
        num_train: Of the data set used.
        multiply_adds: Of one forward pass of one example; NaN where the model is a plugin.
        speed: Multiply-adds a second of one slot.
        is_recorded: The speed comes from recorded trials of this plan.
    """

    num_train: int
    multiply_adds: float
    speed: float
    is_recorded: bool

    def training_seconds(self, trial: TrialSpec) -> float:
        """Estimate one trial's training."""
        return START_SECONDS + _training_work(trial, self) / self.speed

    def statistic_seconds(self, statistic: StatisticSpec) -> float:
        """Estimate one statistic of one trial."""
        gradients = 0.4
        if isinstance(statistic, TracesSpec):
            columns = 10 if statistic.columns == "exact" else statistic.columns
            gradients = _TRACES_PASS + 0.8 * (columns - 1)
        return START_SECONDS + gradients * 3 * self.num_train * self.multiply_adds / self.speed

    def at_stated_speed(self, resources: ResourcesSpec) -> Estimator:
        """Estimate as if nothing were recorded, on other resources."""
        return replace(self, speed=stated_speed(resources), is_recorded=False)

    def seconds(self, missing: Missing) -> float:
        """Estimate all missing work of one trial."""
        training = 0.0 if missing.is_trained else self.training_seconds(missing.planned.trial)
        statistics = (self.statistic_seconds(item.statistic) for item in missing.statistics)
        return training + sum(statistics)


def make_estimator(
    plan: PlanDocument, state: StoreState, facts: DatasetFacts, resources: ResourcesSpec
) -> Estimator:
    """Calibrate on the plan's recorded trials, else on the stated speeds."""
    work = _multiply_adds(plan.trials[0].trial, facts)
    unscaled = Estimator(facts.num_train, work, 1.0, is_recorded=False)
    recorded = _recorded_speed(plan, state.wall_seconds, unscaled)
    speed = recorded or stated_speed(resources)
    return Estimator(facts.num_train, work, speed, is_recorded=recorded is not None)


def stated_speed(resources: ResourcesSpec) -> float:
    """Give the multiply-adds a second that a slot is assumed to do before anything is recorded."""
    if resources.gpus:
        return MULTIPLY_ADDS_PER_GPU_SECOND * resources.gpus
    return MULTIPLY_ADDS_PER_CPU_SECOND * resources.cpus


def total_seconds(work: Sequence[float], slots: int) -> float:
    """Estimate the wall time of pieces of work on slots, longest first; NaN when one is unknown."""
    if not work or not slots:
        return 0.0 if not work else math.inf
    if any(math.isnan(seconds) for seconds in work):
        return math.nan
    ends = [0.0] * min(slots, len(work))
    for seconds in sorted(work, reverse=True):
        ends[ends.index(min(ends))] += seconds
    return max(ends)


def _training_work(trial: TrialSpec, estimator: Estimator) -> float:
    return 3.2 * trial.training.epochs * estimator.num_train * estimator.multiply_adds


def _recorded_speed(
    plan: PlanDocument, wall_seconds: Mapping[str, float], unscaled: Estimator
) -> float | None:
    known = [
        (_training_work(item.trial, unscaled), wall_seconds[item.trial_id])
        for item in plan.trials
        if wall_seconds.get(item.trial_id, 0.0) > 0
    ]
    seconds = sum(wall for _, wall in known)
    speed = sum(work for work, _ in known) / seconds if seconds else math.nan
    return speed if math.isfinite(speed) and speed > 0 else None


def _multiply_adds(trial: TrialSpec, facts: DatasetFacts) -> float:
    model = trial.model
    if isinstance(model, ResNetSpec):
        height, width = facts.input_shape[:2]
        return 9.0 * 16**2 * height * width * (model.depth - 1)
    if isinstance(model, MLPSpec):
        sizes = [math.prod(facts.input_shape), *model.hidden_units, facts.num_outputs]
        return float(sum(a * b for a, b in itertools.pairwise(sizes)))
    return math.nan
