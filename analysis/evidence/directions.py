"""One eigenvector of the Hessian in one fork: how far SGD went along it, and how far laws say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.mathematics.interval import Interval
from analysis.mathematics.linear_dynamics import SGD, Array, independent_variance, shuffled_variance
from analysis.mathematics.uncertain import Uncertain
from workers.contract.specs import TrialSpec
from workers.statistics.fork import ForkSpec

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
        jastrzebski: η/(2m(1 - μ)), the same in every direction: cov θ = (η/2m) I if σ² = H.
        wang: cᵢη/(mλᵢ(2 - ηλᵢ))·(1 - (1 - ηλᵢ)^{2T}) for μ = 0 and independent batches, mean over
            the steps T of the window; NaN where cᵢ is not measured.
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
    wang: float
    scaled_rate: float

    def log_ratio(self, law: str) -> Interval | None:
        """ln(measured/predicted) for `wang` or `jastrzebski`; the first includes the error of cᵢ."""
        is_wang = law == "wang"
        predicted = self.wang if is_wang else self.jastrzebski
        ratio = self.variance / predicted if predicted > 0 else math.nan
        if not 0 < ratio < math.inf:
            return None
        stderr = math.hypot(self.variance_error, self.noise_error if is_wang else 0.0)
        found = Uncertain(math.log(ratio), stderr, self.num_samples - 1)
        return found.interval()


def directions(
    spec: ForkSpec, trial: TrialSpec, num_train: int, rows: pd.DataFrame
) -> tuple[Direction, ...]:
    """Collect the rows of one fork of one trial by direction.

    Wang's variance is the discrete solution of ΓH + HΓ = σ² (Luo, Wang and Fung 2020, Eq 11) along
    uᵢ after the window's steps, under the fork's sampler; Jastrzębski's is Eq 5.
    """
    variances, noises, eigenvalues = (
        _by_index(rows[rows["quantity"] == name]) for name in QUANTITIES
    )
    indices = sorted(set(variances) & set(eigenvalues))
    sgd = SGD(excursion_rate(spec, trial), trial.training.momentum, trial.batch_size)
    curvature = np.array([eigenvalues[index].value for index in indices], dtype=np.float64)
    of_unit_noise = _unit_variances(curvature, sgd, spec, num_train)
    flat = sgd.learning_rate / (2 * sgd.batch_size * (1 - sgd.momentum))
    found = []
    for index, unit in zip(indices, of_unit_noise, strict=True):
        variance, noise = variances[index], noises.get(index, _NOT_MEASURED)
        found.append(
            Direction(
                index=index,
                eigenvalue=eigenvalues[index].value,
                noise=noise.value,
                variance=variance.value,
                variance_error=_relative_error(variance),
                noise_error=_relative_error(noise),
                num_samples=int(variance.degrees) + 1,
                jastrzebski=flat,
                wang=noise.value * float(unit),
                scaled_rate=sgd.learning_rate * eigenvalues[index].value,
            )
        )
    return tuple(found)


def excursion_rate(spec: ForkSpec, trial: TrialSpec) -> float:
    """Return η of a fork: its own, else the final one of the trial's schedule."""
    rate: float = trial.final_learning_rate if spec.learning_rate is None else spec.learning_rate
    return rate


_NOT_MEASURED = Uncertain(math.nan, math.nan, 0)


def _unit_variances(curvature: Array, sgd: SGD, spec: ForkSpec, num_train: int) -> Array:
    steps = spec.windows()[-1]
    if spec.sampler == "shuffle":
        return shuffled_variance(curvature, sgd, num_train, steps)
    return independent_variance(curvature, sgd, steps)


def _by_index(rows: pd.DataFrame) -> Mapping[int, Uncertain]:
    """Return numbers by index: of the total objective where both are there, as SGD steps along it."""
    ordered = rows.sort_values("objective")  # "data" before "total": the later one stays
    return {
        int(row["index"]): Uncertain(
            float(row["value"]), float(row["stderr"]), int(row["num_samples"]) - 1
        )
        for row in ordered.to_dict("records")
    }


def _relative_error(number: Uncertain) -> float:
    return abs(number.stderr / number.value) if number.value else math.nan
