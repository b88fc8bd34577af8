"""Whether a trace stays the same as the batch grows at a fixed learning rate: an equivalence test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain, combined_error
from analysis.mathematics.verdict import judge
from analysis.paper.claim import Claim, overall
from analysis.paper.trace_points import TracePoint
from analysis.text.number_text import plain
from workers.contract.student import CONFIDENCE

MARGIN = 0.25
"""Values count as equal if they differ by less than a factor 1.25, as in bio-equivalence."""

TOO_FEW_SIZES = "no learning rate has two batch sizes with a positive trace"


def constant_in_batch_size(
    name: str,
    statement: str,
    points: Sequence[TracePoint],
    value: Callable[[TracePoint], Uncertain],
    *,
    source: str,
) -> Claim:
    """Judge whether a trace is constant over batch sizes, at every learning rate.

    Two one-sided tests (Schuirmann 1987) for each pair of batch sizes of one learning rate: they are
    equal where the 95 % interval of ln(second/first) lies within ±ln(1 + MARGIN). `holds`: every pair
    is. `fails`: the interval of some pair, widened to 5 % over all pairs of the claim (Bonferroni),
    lies outside. Else `undecided`: a wide interval is no support. Seeds are the units.
    """
    by_rate: dict[float, list[TracePoint]] = {}
    for point in sorted(points, key=lambda item: (item.learning_rate, item.batch_size)):
        if value(point).value > 0:
            by_rate.setdefault(point.learning_rate, []).append(point)
    groups = {rate: group for rate, group in by_rate.items() if len(group) > 1}
    num_pairs = sum(math.comb(len(group), 2) for group in groups.values())
    verdicts, numbers = {}, []
    for rate, group in groups.items():
        label, along = f"LR {rate:g}", [value(point) for point in group]
        pairs = list(itertools.combinations(along, 2))
        verdicts[label] = overall(_verdict(*pair, num_compared=num_pairs) for pair in pairs)
        steps = " → ".join(plain(estimate.value, 3) for estimate in along)
        numbers.append(f"{label}: {steps}, {_largest(pairs)} {verdicts[label]}")
    return Claim(
        name, statement, source, overall(verdicts.values()), verdicts,
        "; ".join(numbers) or TOO_FEW_SIZES,
    )  # fmt: skip


def log_change(first: Uncertain, second: Uncertain, confidence: float = CONFIDENCE) -> Interval:
    """Estimate ln(second/first) of two independent means with Welch's interval.

    The error of a logarithm is the relative one (first order).
    """
    change = math.log(second.value / first.value)
    parts = [
        Uncertain(math.log(each.value), each.stderr / each.value, each.degrees)
        for each in (first, second)
    ]
    return Uncertain(change, *combined_error(parts)).interval(confidence)


def _verdict(first: Uncertain, second: Uncertain, *, num_compared: int) -> str:
    change = log_change(first, second)
    found = judge(change.low, change.high, MARGIN) or "undecided"
    if found != "fails":
        return found
    widened = log_change(first, second, 1 - (1 - CONFIDENCE) / num_compared)
    return judge(widened.low, widened.high, MARGIN) or "undecided"


def _largest(pairs: Sequence[tuple[Uncertain, Uncertain]]) -> str:
    """Format the largest change of a group as a factor above 1, with its interval."""
    largest = max((log_change(*pair) for pair in pairs), key=lambda each: abs(each.value))
    if largest.low is None or largest.high is None:
        return f"factor {math.exp(abs(largest.value)):.2f} [?]"
    bounds = sorted(math.copysign(1, largest.value) * end for end in (largest.low, largest.high))
    low, high = (math.exp(bound) for bound in bounds)
    return f"factor {math.exp(abs(largest.value)):.2f} [{low:.2f}, {high:.2f}]"
