"""One eigenvector of the Hessian in one fork: how far SGD went along it, and how far laws say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.interval import Interval, with_stderr
from analysis.linear_sgd import Dynamics, jastrzebski_variance, wang_variance
from workers.contract.excursions import ForkSpec
from workers.contract.specs import TrialSpec

QUANTITIES = ("direction_variance", "direction_noise", "hessian_top_eigenvalue")


@dataclass(frozen=True)
class Direction:
    """One eigenvector uᵢ of one trial.

    Attributes:
        index: i.
        eigenvalue: λᵢ.
        noise: cᵢ = uᵢᵀσ²uᵢ; NaN when not measured (batch statistics).
        variance: Measured uᵢᵀcov(θ)uᵢ over the longest window.
        variance_error: Relative error of the variance; NaN when not known.
        noise_error: Relative error of cᵢ.
        num_samples: Streams the variance is from.
        jastrzebski: η/2m.
        wang: cᵢη/(mλᵢ(2 - ηλᵢ)), for momentum and the steps of the window; None where cᵢ is not
            measured, or the direction is not stable.
        scaled_rate: ηλᵢ.
    """

    index: int
    eigenvalue: float
    noise: float
    variance: float
    variance_error: float
    noise_error: float
    num_samples: int
    jastrzebski: float
    wang: float | None
    scaled_rate: float

    def log_ratio(self, law: str) -> Interval | None:
        """ln(measured/predicted) for `wang` or `jastrzebski`; the first includes the error of cᵢ."""
        is_wang = law == "wang"
        predicted = self.wang if is_wang else self.jastrzebski
        if predicted is None or min(predicted, self.variance) <= 0:
            return None
        stderr = math.hypot(self.variance_error, self.noise_error if is_wang else 0.0)
        return with_stderr(math.log(self.variance / predicted), stderr, self.num_samples - 1)


def directions(spec: ForkSpec, trial: TrialSpec, rows: pd.DataFrame) -> tuple[Direction, ...]:
    """Put the rows of one fork of one trial together by direction."""
    variances, noises, eigenvalues = (
        _by_index(rows[rows["quantity"] == name]) for name in QUANTITIES
    )
    dynamics = Dynamics(excursion_rate(spec, trial), trial.training.momentum, trial.batch_size)
    return tuple(
        _direction(
            index, (variances[index], noises.get(index, _NOT_MEASURED), eigenvalue), dynamics, spec
        )
        for index, eigenvalue in sorted(eigenvalues.items())
        if index in variances
    )


def excursion_rate(spec: ForkSpec, trial: TrialSpec) -> float:
    """Give η of a fork: its own, else the final one of the trial's schedule."""
    rate: float = trial.final_learning_rate if spec.learning_rate is None else spec.learning_rate
    return rate


@dataclass(frozen=True)
class _Value:
    value: float
    relative_error: float
    num_samples: int


_NOT_MEASURED = _Value(math.nan, math.nan, 0)


def _direction(
    index: int, values: tuple[_Value, _Value, _Value], dynamics: Dynamics, spec: ForkSpec
) -> Direction:
    variance, noise, eigenvalue = values
    steps = spec.windows()[-1]
    return Direction(
        index=index,
        eigenvalue=eigenvalue.value,
        noise=noise.value,
        variance=variance.value,
        variance_error=variance.relative_error,
        noise_error=noise.relative_error,
        num_samples=variance.num_samples,
        jastrzebski=jastrzebski_variance(dynamics),
        wang=wang_variance(dynamics, eigenvalue.value, noise.value, steps),
        scaled_rate=dynamics.learning_rate * eigenvalue.value,
    )


def _by_index(rows: pd.DataFrame) -> Mapping[int, _Value]:
    """Take the total objective where both are there, as SGD steps along it."""
    ordered = rows.sort_values("objective")  # "data" before "total": the later one stays
    return {
        int(row["index"]): _Value(
            float(row["value"]),
            abs(float(row["stderr"]) / float(row["value"])) if row["value"] else math.nan,
            int(row["num_samples"]),
        )
        for row in ordered.to_dict("records")
    }
