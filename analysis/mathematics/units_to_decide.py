"""How many independent units an undecided interval wants until it decides."""

from __future__ import annotations

import math

from analysis.mathematics.interval import Interval
from analysis.mathematics.verdict import MARGIN
from workers.contract.student import CONFIDENCE, student_quantile


def units_to_decide(
    log_ratio: Interval, num_units: int, most: int, *, is_spread_of_units: bool
) -> float:
    """Return how many units there must be until the interval crosses no edge, were its value and spread to stay.

    An interval of n units that reaches w beyond its value, which is d from the nearer edge ±ln(1 + margin),
    reaches w·√(n/N) with N of them. Where its error is the spread of the units themselves, Student's quantile
    falls too, from n - 1 degrees of freedom to N - 1.

    Args:
        log_ratio: The interval.
        num_units: n, 1 at least.
        most: More are not looked for.
        is_spread_of_units: Whether the error is that of the mean over the units.

    Returns:
        n where the interval decides by itself; inf beyond `most`; NaN without an interval.
    """
    if log_ratio.low is None or log_ratio.high is None:
        return math.nan
    distance = abs(abs(log_ratio.value) - math.log1p(MARGIN))
    width = max(log_ratio.high - log_ratio.value, log_ratio.value - log_ratio.low)
    if width <= distance:
        return num_units
    if not is_spread_of_units or num_units < 2:
        wanted = math.inf if distance == 0 else math.ceil(num_units * (width / distance) ** 2)
        return wanted if wanted <= most else math.inf
    spread = width * math.sqrt(num_units) / _quantile(num_units)
    enough = (
        number
        for number in range(num_units, most + 1)
        if _quantile(number) * spread / math.sqrt(number) <= distance
    )
    return next(enough, math.inf)


def _quantile(num_units: int) -> float:
    return student_quantile(num_units - 1, CONFIDENCE)
