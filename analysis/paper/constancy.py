"""Whether a trace stays the same as the batch grows at a fixed learning rate: an equivalence test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from analysis.mathematics.uncertain import Uncertain
from analysis.mathematics.verdict import judge
from analysis.paper.claim import Claim, overall
from analysis.paper.trace_points import TracePoint
from analysis.text.number_text import plain
from workers.contract.student import CONFIDENCE

Array = npt.NDArray[np.float64]

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
        changes = log_changes(along)
        verdicts[label] = _verdict(changes, num_compared=num_pairs)
        steps = " → ".join(plain(estimate.value, 3) for estimate in along)
        numbers.append(f"{label}: {steps}, {_largest(changes)} {verdicts[label]}")
    return Claim(
        name, statement, source, overall(verdicts.values()), verdicts,
        "; ".join(numbers) or TOO_FEW_SIZES,
    )  # fmt: skip


@dataclass(frozen=True)
class LogChanges:
    """ln(second/first) of P pairs of independent means.

    Attributes:
        values: [P].
        stderrs: Standard errors [P]; NaN where one of the two is unknown.
        degrees: Degrees of freedom [P] of the errors (Welch 1947, Satterthwaite 1946).
    """

    values: Array
    stderrs: Array
    degrees: Array

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[Array, Array]:
        """Return both ends [P] of Student's intervals; NaN where the error is unknown."""
        half = stdtrit(self.degrees, (1 + confidence) / 2) * self.stderrs
        return self.values - half, self.values + half


def log_changes(means: Sequence[Uncertain]) -> LogChanges:
    """Estimate ln(second/first) of every two of positive means, the earlier one first.

    The error of a logarithm is the relative one (first order).
    """
    values, stderrs, degrees = np.array(
        [(each.value, each.stderr, each.degrees) for each in means], np.float64
    ).T
    first, second = np.triu_indices(len(means), 1)
    logs, variances = np.log(values), np.square(stderrs / values)
    variance = variances[first] + variances[second]
    with np.errstate(divide="ignore", invalid="ignore"):  # an error of 0, or an unknown one
        weights = sum(
            np.square(variances[one] / variance) / degrees[one] for one in (first, second)
        )
        pooled = np.where(variance == 0, np.inf, 1 / weights)
    return LogChanges(logs[second] - logs[first], np.sqrt(variance), pooled)


def _verdict(changes: LogChanges, *, num_compared: int) -> str:
    """Judge all pairs: by their outermost ends, and by those that come nearest to lying outside."""
    low, high = changes.bounds()
    if judge(float(low.min()), float(high.max()), MARGIN) == "holds":
        return "holds"
    low, high = changes.bounds(1 - (1 - CONFIDENCE) / num_compared)
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    outermost = (known[np.argmax(low[known])], known[np.argmin(high[known])]) if known.size else ()
    found = {judge(float(low[pair]), float(high[pair]), MARGIN) for pair in outermost}
    return "fails" if "fails" in found else "undecided"


def _largest(changes: LogChanges) -> str:
    """Format the largest change of a group as a factor above 1, with its interval."""
    pair = int(np.argmax(np.abs(changes.values)))
    value = float(changes.values[pair])
    ends = [math.copysign(1, value) * float(end[pair]) for end in changes.bounds()]
    if not all(map(math.isfinite, ends)):
        return f"factor {math.exp(abs(value)):.2f} [?]"
    low, high = (math.exp(end) for end in sorted(ends))
    return f"factor {math.exp(abs(value)):.2f} [{low:.2f}, {high:.2f}]"
