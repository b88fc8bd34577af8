"""Whether values rise: from step to step against their errors, and by rank."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.mathematics.estimate import Estimate

LEVEL = 0.05
"""Two-sided; claims about a sign take half of it on each side."""

_MOST_PERMUTED = 9
"""The paper's grid has nine cells: 362,880 orders."""

_NUM_RANDOM_ORDERS = 100_000


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ with the probability of one as large in size, if the order were random."""

    rho: float
    p_value: float
    num_values: int


def verdict_on_rises(estimates: Sequence[Estimate], *, num_compared: int) -> str:
    """Judge the claim that each value exceeds the one before.

    Each step is a one-sided Welch test. `holds`: every step rises beyond its error (each at 2.5 %).
    `fails`: some step falls beyond its error (2.5 % over the `num_compared` steps of the whole claim,
    Bonferroni). Else `undecided`.
    Values with error 0 are compared as they are; an unknown error leaves a step undecided.
    """
    steps = list(itertools.pairwise(estimates))
    rises = [chance_of_rise(first, second) for first, second in steps]
    falls = [chance_of_rise(second, first) for first, second in steps]
    if any(chance <= LEVEL / 2 / num_compared for chance in falls):
        return "fails"
    return "holds" if rises and all(chance <= LEVEL / 2 for chance in rises) else "undecided"


def chance_of_rise(first: Estimate, second: Estimate) -> float:
    """Give the probability of such a rise from first to second if there is none; NaN if unknown."""
    difference = second.mean - first.mean
    variances = [first.stderr**2, second.stderr**2]
    if not math.isfinite(difference) or not all(map(math.isfinite, variances)):
        return math.nan
    if sum(variances) == 0:
        return 0.0 if difference > 0 else 1.0
    dofs = [max(item.num_seeds - 1, 1) for item in (first, second)]
    dof = sum(variances) ** 2 / sum(v**2 / d for v, d in zip(variances, dofs, strict=True))
    return float(stats.t.sf(difference / math.sqrt(sum(variances)), dof))


def rank_correlation(abscissas: Sequence[float], values: Sequence[float]) -> RankCorrelation | None:
    """Compute Spearman's ρ; None for fewer than 3 values or a constant.

    Ties get the mean of their ranks. The two-sided p-value counts the orders of the values with a ρ
    as large: all of them up to 9 values, 100,000 random ones (always the same) above. Student's t is
    no substitute: on a grid, where abscissas are tied, its p is far too small near |ρ| = 1.
    """
    if len(values) < 3 or min(np.ptp(abscissas), np.ptp(values)) == 0:
        return None
    first, second = (stats.rankdata(x) - (len(values) + 1) / 2 for x in (abscissas, values))
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    rho = float(np.clip(first @ second, -1, 1))
    if len(values) <= _MOST_PERMUTED:
        orders = second[_orders(len(values))]
    else:
        several = np.tile(second, (_NUM_RANDOM_ORDERS, 1))
        orders = np.random.default_rng(0).permuted(several, axis=1)
        orders[0] = second  # the order found is one of them, so p is never 0
    p_value = float(np.mean(np.abs(orders @ first) >= abs(rho) - 1e-12))
    return RankCorrelation(rho, p_value, len(values))


def _orders(count: int) -> npt.NDArray[np.int64]:
    """List every order of 0 … count-1 [count!, count]."""
    orders = np.zeros((1, 1), dtype=np.int64)
    for number in range(1, count):
        orders = np.concatenate(
            [np.insert(orders, place, number, axis=1) for place in range(number + 1)]
        )
    return orders
