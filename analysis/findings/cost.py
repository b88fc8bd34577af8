"""What a sweep cost, training and measuring apart, and what a measured digit costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.leading import leading_rows
from analysis.records.load import SweepData
from workers.contract.sweep_spec import ResourcesSpec

_HOUR_SECONDS = 3600.0
_OF_ONE_RUN = ["trial_id", "statistic_id", "statistic", "split"]
"""Rows that agree in these carry the cost of one and the same run."""


@dataclass(frozen=True)
class PaidWork:
    """What one kind of work took.

    Attributes:
        name: `training`, or the name of the statistic.
        num_trials: Trials that have it.
        core_hours: Σ wall time × threads of a trial; NaN where no time is on record.
        gpu_hours: Σ wall time × the share of a GPU that the trial had.
        gradients: In gradients over the split worked on; an epoch of SGD is one. NaN where not recorded.
    """

    name: str
    num_trials: int
    core_hours: float
    gpu_hours: float
    gradients: float


@dataclass(frozen=True)
class Cost:
    """What was paid for the records of a sweep; attempts that failed left no time on record.

    Attributes:
        training: Of all trained trials.
        measuring: By statistic, in the plan's order; those that have a record.
    """

    training: PaidWork
    measuring: tuple[PaidWork, ...]

    @property
    def measuring_core_hours(self) -> float:
        """Of all statistics."""
        return _sum(work.core_hours for work in self.measuring)

    @property
    def core_hours(self) -> float:
        """Of training and measuring."""
        return self.training.core_hours + self.measuring_core_hours

    @property
    def gpu_hours(self) -> float:
        """Of training and measuring."""
        return _sum(work.gpu_hours for work in (self.training, *self.measuring))


@dataclass(frozen=True)
class Precision:
    """What one quantity of one statistic costs at a stated precision.

    Attributes:
        quantity: Its name.
        statistic: Name of the statistic.
        objective: `data` or `total`.
        relative_stderr: √⟨(stderr/value)²⟩ over trials; 0 where exact.
        core_hours: Mean of a trial's, for the whole statistic.
        core_hours_for_percent: ⟨core-hours × (stderr/value/0.01)²⟩: errors fall as 1/√cost.
    """

    quantity: str
    statistic: str
    objective: str
    relative_stderr: float
    core_hours: float
    core_hours_for_percent: float


def _sum(hours: Iterable[float]) -> float:
    return math.fsum(each for each in hours if math.isfinite(each))


def cost(data: SweepData) -> Cost:
    """Compute what the records of a sweep cost, with the threads of the sweep's plan."""
    threads = num_threads(data)
    spent = data.trials["wall_seconds"].astype(float) / _HOUR_SECONDS
    shares = data.trials["device_share"].astype(float)
    training = PaidWork(
        "training",
        len(data.trials),
        float(spent.sum()) * threads,
        float((spent * shares).sum()),
        float(data.epochs["trial_id"].isin(data.trials["trial_id"]).sum()),
    )
    return Cost(training, tuple(_of_statistics(data, threads)))


def num_threads(data: SweepData) -> int:
    """Return the threads of a trial, as the plan's `resources` have them."""
    return ResourcesSpec.model_validate(data.plan.spec.get("resources", {})).cpus


def precisions(data: SweepData) -> list[Precision]:
    """Compute what each estimated whole-model quantity costs; exact ones have an error of 0.

    Of a quantity with several objectives or indices the leading one counts.
    """
    seconds = _runs(data).set_index(_OF_ONE_RUN)["wall_seconds"]
    rows = data.measurements
    rows = rows[rows["stderr"].notna() & (rows["split"] == "train") & rows["layer"].isna()]
    rows = rows.assign(mean=rows["value"])
    found: list[Precision] = []
    if rows.empty:
        return found
    for planned in data.plan.statistics:
        its = leading_rows(rows[rows["statistic_id"] == planned.statistic_id], data.plan)
        its = its[its["value"] != 0].join(seconds.rename("run_seconds"), on=_OF_ONE_RUN)
        hours = its["run_seconds"] / _HOUR_SECONDS * num_threads(data)
        squares = (its["stderr"].astype(float) / its["value"].astype(float)) ** 2
        its = its.assign(hours=hours, squares=squares, priced=hours * squares / 0.01**2)
        for (quantity, objective), group in its.groupby(
            ["quantity", "objective"], sort=False, observed=True
        ):
            found.append(
                Precision(
                    str(quantity),
                    planned.statistic.name,
                    str(objective),
                    float(np.sqrt(group["squares"].mean())),
                    float(group["hours"].mean()),
                    float(group["priced"].mean()),
                )
            )
    return found


def _of_statistics(data: SweepData, threads: int) -> list[PaidWork]:
    shares = data.trials.set_index("trial_id")["device_share"].astype(float)
    runs = _runs(data)
    hours = runs["wall_seconds"] / _HOUR_SECONDS
    runs = runs.assign(hours=hours, gpu_hours=hours * runs["trial_id"].map(shares).astype(float))
    found = []
    for planned in data.plan.statistics:
        its = runs[runs["statistic_id"] == planned.statistic_id]
        if its.empty:
            continue
        gradients = its["cost_gradients"].sum(min_count=1)
        found.append(
            PaidWork(
                planned.statistic.name,
                its["trial_id"].nunique(),
                float(its["hours"].sum(min_count=1)) * threads,
                float(its["gpu_hours"].sum(min_count=1)),
                float(gradients),
            )
        )
    return found


def _runs(data: SweepData) -> pd.DataFrame:
    """Return one row for each run of a statistic on a split, with its cost; skipped ones have none."""
    measured = data.measurements[data.measurements["skipped_reason"].isna()]
    costs = measured[[*_OF_ONE_RUN, "wall_seconds", "cost_gradients"]]
    costs = costs.astype({"wall_seconds": float, "cost_gradients": float})
    return costs.groupby(_OF_ONE_RUN, sort=False, as_index=False, observed=True).max()
