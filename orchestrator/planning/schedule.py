"""When pieces of work end on slots: the longest goes first, each to the slot that comes free next."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence


def ends_of(
    work: Mapping[str, float], num_slots: int, busy: Sequence[float] = ()
) -> dict[str, float]:
    """Estimate in how many seconds each piece of work ends.

    Args:
        work: Seconds of each piece.
        num_slots: How many run at once.
        busy: Seconds until what runs by now ends; it may hold more slots than there are.

    Returns:
        By piece; infinite where there is no slot, NaN where the time of any is unknown.
    """
    if any(map(math.isnan, [*work.values(), *busy])):
        return dict.fromkeys(work, math.nan)
    ends = [*busy, *[0.0] * max(0, num_slots - len(busy))]
    if not ends:
        return dict.fromkeys(work, math.inf)
    heapq.heapify(ends)
    found = {}
    for name in sorted(work, key=lambda name: work[name], reverse=True):
        found[name] = ends[0] + work[name]
        heapq.heapreplace(ends, found[name])
    return found
