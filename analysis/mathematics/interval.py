"""A value with its 95 % interval, on the log scale when it is a ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.mathematics.verdict import judge

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A value and the interval it is known in.

    Attributes:
        value: NaN when there is none.
        low: None when the error is not known.
        high: None when the error is not known.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str | None:
        """Judge a log ratio against 0; None without an interval."""
        return judge(self.low, self.high)


def with_stderr(value: float, stderr: float, dof: float) -> Interval:
    """Give value ± t·stderr with Student's t of `dof` degrees of freedom."""
    if not (math.isfinite(value) and math.isfinite(stderr)) or dof <= 0:
        return Interval(value)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, dof)) * stderr
    return Interval(value, value - half, value + half)


def over_units(values: Sequence[float]) -> Interval:
    """Average independent units: mean ± t·sd/√n with n - 1 degrees of freedom; none for n = 1."""
    if not values:
        return Interval(math.nan)
    mean, num_units = float(np.mean(values)), len(values)
    if num_units == 1:
        return Interval(mean)
    stderr = float(np.std(values, ddof=1)) / math.sqrt(num_units)
    return with_stderr(mean, stderr, num_units - 1)


def side_by_side(intervals: Sequence[Interval]) -> Interval:
    """Average values that may depend on each other in any way: the mean of each bound.

    The error of a mean is at most the mean of the errors, which it is when all errors are one.
    """
    value = float(np.mean([interval.value for interval in intervals])) if intervals else math.nan
    lows = [interval.low for interval in intervals if interval.low is not None]
    highs = [interval.high for interval in intervals if interval.high is not None]
    if not intervals or len(lows) < len(intervals) or len(highs) < len(intervals):
        return Interval(value)
    return Interval(value, float(np.mean(lows)), float(np.mean(highs)))
