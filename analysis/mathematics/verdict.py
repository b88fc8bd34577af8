"""What an interval of ln(measured/predicted) says of a law."""

from __future__ import annotations

import math
from typing import Literal

Verdict = Literal["holds", "fails", "undecided"]

MARGIN = 0.1
"""A choice: the laws in question differ by factors of 2.4 to 11.8 in the paper's Table 1."""
BAND = (1 / (1 + MARGIN), 1 + MARGIN)
"""Of measured/predicted where a law holds."""


def judge(low: float | None, high: float | None, margin: float = MARGIN) -> Verdict | None:
    """Judge a law by the interval [low, high] of ln(measured/predicted).

    A law holds where the interval lies inside ±ln(1 + margin), fails where it lies wholly outside,
    and is undecided otherwise: an equivalence test, for which a wide interval is no support.

    Returns:
        None without an interval.
    """
    if low is None or high is None:
        return None
    bound = math.log1p(margin)
    if -bound <= low and high <= bound:
        return "holds"
    return "fails" if high < -bound or low > bound else "undecided"


def told(verdict: str | None, *, is_valid: bool) -> str | None:
    """Return a verdict as readers are told it: a law that would hold `agrees` where its assumptions are not met."""
    return "agrees" if verdict == "holds" and not is_valid else verdict
