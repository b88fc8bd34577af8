"""Means over independent units, seeds, draws or cells, with the error that their scatter shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.mathematics.uncertain import Uncertain


def mean_of_units(values: Sequence[float]) -> Uncertain:
    """Average independent units: stderr = sd/√n with n - 1 degrees of freedom, NaN for n < 2.

    Values that are not finite are not averaged and not counted; without any the mean is NaN. Equal
    values have an error of exactly 0, not of the rounding of their mean.
    """
    finite = [value for value in values if math.isfinite(value)]
    num_units = len(finite)
    if num_units == 0:
        return Uncertain(math.nan, math.nan, 0)
    mean = math.fsum(finite) / num_units
    if num_units == 1:
        return Uncertain(mean, math.nan, 0)
    squares = math.fsum((value - mean) ** 2 for value in finite)
    spread = 0.0 if min(finite) == max(finite) else math.sqrt(squares / (num_units - 1))
    return Uncertain(mean, spread / math.sqrt(num_units), num_units - 1)


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float]) -> Uncertain:
    """Estimate ā/b̄ from values paired by unit, with the error of the delta method.

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
    top = mean_of_units([a for a, _ in pairs])
    bottom = mean_of_units([b for _, b in pairs])
    if not pairs or bottom.value == 0:
        return Uncertain(math.nan, math.nan, 0)
    ratio = top.value / bottom.value
    residual = mean_of_units([a - ratio * b for a, b in pairs])
    return Uncertain(ratio, residual.stderr / abs(bottom.value), len(pairs) - 1)
