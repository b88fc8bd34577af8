"""The covariance of SGD along eigenvectors of the Hessian, and whether noise and Hessian agree there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from analysis.evidence.directions import QUANTITIES, Direction, directions, excursion_rate
from analysis.mathematics.interval import Interval
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.regression import fit, is_independent
from analysis.mathematics.soundness import is_sound
from analysis.records.cell import Cell, groups_by_cell
from analysis.records.load import SweepData
from workers.contract.specs import TrialSpec
from workers.statistics.fork import ForkSpec


@dataclass(frozen=True)
class CellCovariance:
    """All trials of one cell in one excursion.

    Attributes:
        cell: Loss, m and initial η.
        learning_rate_used: η of the excursion.
        bn_mode: Of the excursion.
        sampler: Of the excursion.
        num_steps: T, where the longest window ends.
        trials: The directions of every trial.
        jastrzebski: ln(measured/predicted), averaged over directions.
        wang: The same.
        slope: γ in cᵢ ∝ λᵢ^γ; 1 if σ² = H.
        log_scale: ln(Σcᵢ/Σλᵢ); 0 if σ² = H.
        cosine: Σcᵢλᵢ/√(Σcᵢ²Σλᵢ²); 1 if σ² ∝ H.
    """

    cell: Cell
    learning_rate_used: float
    bn_mode: str
    sampler: str
    num_steps: int
    trials: tuple[tuple[Direction, ...], ...]
    jastrzebski: Interval
    wang: Interval
    slope: Interval
    log_scale: Interval
    cosine: Interval


def covariances(data: SweepData) -> list[CellCovariance]:
    """Compare the variance along the top eigenvectors with both laws, in every cell and fork.

    Every direction of every trial is a unit of the two ratios and of the slope: along eigenvectors
    variances are independent where the loss is quadratic. Their interval is from the scatter, mean ±
    t·sd/√n. Scale and cosine have one value a trial, so their units are seeds.
    """
    trials = {item.trial_id: item.trial for item in data.plan.trials}
    sizes = dict(zip(data.trials["trial_id"], data.trials["num_train"], strict=True))
    found = []
    for statistic in data.plan.statistics:
        if not isinstance(statistic.statistic, ForkSpec):
            continue
        rows = data.measurements
        rows = rows[(rows["statistic_id"] == statistic.statistic_id) & rows["layer"].isna()]
        rows = rows[rows["quantity"].isin(QUANTITIES) & is_sound(rows["value"])]
        rows = rows[rows["trial_id"].isin(sizes)]  # the record of a trial may be damaged
        for cell, group in groups_by_cell(rows):
            of_trials = [
                directions(statistic.statistic, trials[str(trial_id)], sizes[trial_id], of_trial)
                for trial_id, of_trial in group.groupby("trial_id", observed=True)
            ]
            kept = [item for item in of_trials if item]
            if kept:
                trial = trials[str(group["trial_id"].iloc[0])]
                found.append(_of_cell(cell, statistic.statistic, trial, kept))
    return found


def _of_cell(
    cell: Cell, spec: ForkSpec, trial: TrialSpec, trials: Sequence[tuple[Direction, ...]]
) -> CellCovariance:
    return CellCovariance(
        cell=cell,
        learning_rate_used=excursion_rate(spec, trial),
        bn_mode=spec.bn_mode,
        sampler=spec.sampler,
        num_steps=spec.num_steps,
        trials=tuple(trials),
        jastrzebski=_over_directions(trials, "jastrzebski"),
        wang=_over_directions(trials, "wang"),
        slope=_slope(trials),
        log_scale=_over_trials(trials, _log_scale),
        cosine=_over_trials(trials, _cosine),
    )


def _over_directions(trials: Sequence[tuple[Direction, ...]], law: str) -> Interval:
    ratios = (direction.log_ratio(law) for direction in chain(*trials))
    return mean_of_units([ratio.value for ratio in ratios if ratio]).interval()


def _over_trials(
    trials: Sequence[tuple[Direction, ...]], value: Callable[[tuple[Direction, ...]], float]
) -> Interval:
    return mean_of_units([value(trial) for trial in trials]).interval()


def _slope(trials: Sequence[tuple[Direction, ...]]) -> Interval:
    positive = [item for item in chain(*trials) if item.noise > 0 and item.eigenvalue > 0]
    column = np.log([item.eigenvalue for item in positive]).reshape(-1, 1)
    if len(positive) < 3 or not is_independent(column):
        return Interval(math.nan)
    found = fit(column, np.log([item.noise for item in positive]))
    return found.contrast([1.0])


def _log_scale(trial: tuple[Direction, ...]) -> float:
    noise, eigenvalue = sum(d.noise for d in trial), sum(d.eigenvalue for d in trial)
    return math.log(noise / eigenvalue) if min(noise, eigenvalue) > 0 else math.nan


def _cosine(trial: tuple[Direction, ...]) -> float:
    return cosine(*(np.array([getattr(d, n) for d in trial]) for n in ("noise", "eigenvalue")))


def cosine(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Compute the cosine of two vectors [n]; NaN where one is 0."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths > 0 else math.nan
