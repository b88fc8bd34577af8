"""Means over seeds with their standard errors, and what follows from them to first order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: NaN when no seed has a value.
        stderr: Standard deviation over seeds (n - 1) / √n; NaN for fewer than two seeds.
        num_seeds: Values averaged.
    """

    mean: float
    stderr: float
    num_seeds: int

    def scaled(self, factor: float) -> Estimate:
        """Multiply by an exactly known factor; the error is exact too."""
        return Estimate(self.mean * factor, self.stderr * abs(factor), self.num_seeds)


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Average over seeds; values that are not finite are not averaged and not counted.

    Equal values have an error of exactly 0, not of the rounding of their mean.
    """
    finite = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    num_seeds = len(finite)
    if num_seeds == 0:
        return Estimate(math.nan, math.nan, 0)
    spread = float(finite.std(ddof=1)) if num_seeds > 1 else math.nan
    if num_seeds > 1 and finite.min() == finite.max():
        spread = 0.0
    return Estimate(float(finite.mean()), spread / math.sqrt(num_seeds), num_seeds)


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Estimate ā/b̄ from values paired by seed, with the error of the delta method.

    With r = ā/b̄ and d_i = a_i - r·b_i the error is sd(d)/(√n·|b̄|), which is the first-order
    propagation r²·[var a/ā² + var b/b̄² - 2·cov(a, b)/(ā·b̄)]/n: what both traces of one network
    share cancels.

    Returns:
        NaN when a mean is missing or b̄ is 0.
    """
    pairs = [
        (a, b)
        for a, b in zip(numerators, denominators, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]
    top = mean_over_seeds([a for a, _ in pairs])
    bottom = mean_over_seeds([b for _, b in pairs])
    if not pairs or bottom.mean == 0:
        return Estimate(math.nan, math.nan, len(pairs))
    ratio = top.mean / bottom.mean
    residual = mean_over_seeds([a - ratio * b for a, b in pairs])
    return Estimate(ratio, residual.stderr / abs(bottom.mean), len(pairs))
