"""A value with its 95 % interval, on the log scale when it is a ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.mathematics.verdict import Verdict, judge


@dataclass(frozen=True)
class Interval:
    """A value and the interval it is known in, whatever shape the error has.

    Attributes:
        value: NaN when there is none.
        low: None when the error is not known.
        high: None when the error is not known.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Judge a log ratio against 0; None without an interval."""
        return judge(self.low, self.high)


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
