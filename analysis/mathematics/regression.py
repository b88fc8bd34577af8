"""Least squares: coefficients with errors, and the F-test of a model nested in a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc  # `scipy.stats` takes a second to import

from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain

Array = npt.NDArray[np.float64]

_DEPENDENT = 1e-9
"""Singular values of the scaled columns below this are those of dependent columns: between the rounding of
double precision, some 1e-15, and any difference between two settings of a grid."""

_NOTHING_LEFT = 1e-20
"""Share of the sum of squares below which a residual is rounding: residuals of 1e-10 of the response."""

_EXACT = "the model fits exactly, which leaves no error to test against"


@dataclass(frozen=True)
class Fit:
    """Response ≈ 1·c + Σ_j x_j·b_j by ordinary least squares.

    Attributes:
        coefficients: b_j [p], without the constant c.
        covariance: Of b_j [p, p]; NaN without degrees of freedom.
        residual_squares: Σ residual².
        total_squares: Σ (response - mean)².
        dof: n - p - 1.
    """

    coefficients: Array
    covariance: Array
    residual_squares: float
    total_squares: float
    dof: int

    @property
    def stderrs(self) -> Array:
        """Standard errors of b_j [p]."""
        return np.sqrt(np.diag(self.covariance))

    def contrast(self, weights: Sequence[float]) -> Interval:
        """Estimate Σ_j w_j·b_j with Student's interval of n - p - 1 degrees of freedom."""
        along = np.array(weights, dtype=np.float64)
        stderr = float(np.sqrt(along @ self.covariance @ along))
        return Uncertain(float(along @ self.coefficients), stderr, self.dof).interval()


@dataclass(frozen=True)
class FTest:
    """Whether a larger model explains more than its further coefficients would by chance.

    Attributes:
        f_statistic: [(RSS₀ - RSS₁)/q]/[RSS₁/dof], q further coefficients.
        dof_numerator: q.
        dof_denominator: n - coefficients of the larger model.
        p_value: P(F ≥ f) if the smaller model is right and errors are independent and normal.
        partial_r_squared: (RSS₀ - RSS₁)/RSS₀.
        slope: Coefficient of the last added column.
        slope_stderr: Its error.
    """

    f_statistic: float
    dof_numerator: int
    dof_denominator: int
    p_value: float
    partial_r_squared: float
    slope: float
    slope_stderr: float


def fit(columns: Array, response: Array) -> Fit:
    """Fit a response [n] on columns [n, p] and a constant.

    The columns are to be independent of each other and of the constant: see `is_independent`.
    """
    centred, target = columns - columns.mean(axis=0), response - response.mean()
    coefficients = np.linalg.lstsq(centred, target, rcond=None)[0]
    residual = target - centred @ coefficients
    squares, dof = float(residual @ residual), len(target) - columns.shape[1] - 1
    variance = squares / dof if dof > 0 else np.nan
    covariance = variance * np.linalg.inv(centred.T @ centred)
    return Fit(coefficients, covariance, squares, float(target @ target), dof)


def is_independent(columns: Array) -> bool:
    """Whether no column is a constant, or a combination of the others and a constant."""
    centred = columns - columns.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    if np.any(lengths <= _DEPENDENT * np.maximum(1.0, np.linalg.norm(columns, axis=0))):
        return False
    if columns.shape[0] <= columns.shape[1]:
        return False
    return bool(np.linalg.svd(centred / lengths, compute_uv=False)[-1] > _DEPENDENT)


def fit_with_error(columns: Array, response: Array) -> Fit | str:
    """Fit as `fit` does, where that leaves an error to judge by.

    Returns:
        The fit, or a sentence that says why there is none.
    """
    fault = _no_error(columns, response, 1 + columns.shape[1])
    if fault:
        return fault
    found = fit(columns, response)
    return _EXACT if _is_exact(found.residual_squares, found.total_squares) else found


def lack_of_fit_test(base: Array, groups: Array, response: Array) -> FTest | str:
    """Test whether groups of observations differ beyond a linear model of their base.

    The larger model has a mean for each group, so that its residuals are those within groups: a closed
    form, where indicators of 2,000 groups would be a matrix of 10,000 × 2,000.

    Args:
        base: Columns [n, p], equal within a group.
        groups: Number of the group of each observation [n].
        response: [n].

    Returns:
        The test, without a slope, or a sentence that says why there is none.
    Source: the F-test of lack of fit, Draper and Smith 1998, section 2.1.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    num_groups = len(counts)
    tolerance = _DEPENDENT * max(1.0, len(response) ** 0.5)
    count = num_groups - 1 - int(np.linalg.matrix_rank(base - base.mean(axis=0), tol=tolerance))
    if count < 1:
        return f"{num_groups} cells are too few to decide this"
    fault = _no_error(base, response, num_groups)
    if fault:
        return fault
    within = response - (np.bincount(codes, response) / counts)[codes]
    small, squares = fit(base, response), float(within @ within)
    if _is_exact(squares, small.total_squares):
        return _EXACT
    return _f_test(small, squares, count, len(response) - num_groups)


def nested_f_test(base: Array, added: Array, response: Array) -> FTest | str:
    """Test response [n] ~ base [n, p] against response ~ base and added [n, q].

    Returns:
        The test, or a sentence that says why there is none.
    """
    large = fit_with_error(np.hstack([base, added]), response)
    if isinstance(large, str):
        return large
    small, count = fit(base, response), added.shape[1]
    slope = float(large.coefficients[-1]), float(large.stderrs[-1])
    return _f_test(small, large.residual_squares, count, large.dof, slope)


def _no_error(columns: Array, response: Array, num_coefficients: int) -> str:
    """Say why a fit of so many coefficients leaves no error to judge by; empty where it may."""
    num = len(response)
    if num <= num_coefficients:
        return f"{num} values are too few for {num_coefficients} coefficients and an error"
    if float(np.ptp(response)) <= _DEPENDENT * max(1.0, float(np.max(np.abs(response)))):
        return "the response does not vary"
    if not is_independent(columns):
        return "the factors do not vary independently of each other here"
    return ""


def _is_exact(residual_squares: float, total_squares: float) -> bool:
    return residual_squares <= _NOTHING_LEFT * total_squares


def _f_test(
    small: Fit,
    residual_squares: float,
    count: int,
    dof: int,
    slope: tuple[float, float] = (np.nan, np.nan),
) -> FTest:
    """Test a smaller model against one of `count` further coefficients by what that leaves, with `dof`."""
    gained = small.residual_squares - residual_squares
    f_statistic = (gained / count) / (residual_squares / dof)
    return FTest(
        f_statistic=f_statistic,
        dof_numerator=count,
        dof_denominator=dof,
        p_value=float(fdtrc(count, dof, max(f_statistic, 0.0))),
        partial_r_squared=gained / small.residual_squares,
        slope=slope[0],
        slope_stderr=slope[1],
    )
