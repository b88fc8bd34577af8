"""Whether values rise: from step to step against their errors, and by rank."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr

from analysis.mathematics.uncertain import Uncertain, combined_error
from workers.contract.student import CONFIDENCE

LEVEL = 1 - CONFIDENCE
"""Of tests, two-sided; claims about a sign take half of it on each side."""

_MOST_PERMUTED = 9
"""The paper's grid has nine cells: 362,880 orders."""

_MOST_ORDERS, _FEWEST_ORDERS = 100_000, 10_000
"""Random ones: a p-value of 0.05 from so many has a standard error of 0.0007, and of 0.002."""

_MOST_DRAWN, _MOST_AT_ONCE = 20_000_000, 1_000_000
"""Values in all orders together, and in those that are held at a time."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ with the probability of one as large in size, if the order were random."""

    rho: float
    p_value: float
    num_values: int


def verdict_on_rises(estimates: Sequence[Uncertain], *, num_compared: int) -> str:
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


def chance_of_rise(first: Uncertain, second: Uncertain) -> float:
    """Compute the probability of such a rise from first to second if there is none; NaN if unknown."""
    difference = second.value - first.value
    stderr, degrees = combined_error((first, second))
    if not math.isfinite(difference) or not math.isfinite(stderr):
        return math.nan
    if stderr == 0:
        return 0.0 if difference > 0 else 1.0
    return float(stdtr(degrees, -difference / stderr))


def rank_correlation(abscissas: Sequence[float], values: Sequence[float]) -> RankCorrelation | None:
    """Compute Spearman's ρ; None for fewer than 3 values, a constant, or one that is no number.

    Ties get the mean of their ranks. The two-sided p-value counts the orders of the values with a ρ
    as large: all of them up to 9 values, 100,000 random ones (always the same) up to 200, fewer but 10,000
    at least above, so that many values take no more time. Student's t is
    no substitute: on a grid, where abscissas are tied, its p is far too small near |ρ| = 1.
    """
    if len(values) < 3 or not np.isfinite([*abscissas, *values]).all():
        return None
    if min(np.ptp(abscissas), np.ptp(values)) == 0:
        return None
    ranks = (pd.Series(x).rank().to_numpy(np.float64) for x in (abscissas, values))
    centred = (each - (len(values) + 1) / 2 for each in ranks)
    first, second = (np.asarray(each / np.linalg.norm(each), np.float64) for each in centred)
    rho = float(np.clip(first @ second, -1, 1))
    if len(values) <= _MOST_PERMUTED:
        others = second[_orders(len(values))] @ first
    else:
        others = _random_orders(first, second)
        others[0] = rho  # the order found is one of them, so p is never 0
    p_value = float(np.mean(np.abs(others) >= abs(rho) - 1e-12))
    return RankCorrelation(rho, p_value, len(values))


def _random_orders(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Compute ρ [k] of k random orders of the second ranks [n], of some at a time."""
    count = len(second)
    num_orders = min(_MOST_ORDERS, max(_FEWEST_ORDERS, _MOST_DRAWN // count))
    at_once, draw = max(1, _MOST_AT_ONCE // count), np.random.default_rng(0)
    found = [
        draw.permuted(np.tile(second, (min(at_once, num_orders - start), 1)), axis=1) @ first
        for start in range(0, num_orders, at_once)
    ]
    return np.concatenate(found)


def _orders(count: int) -> npt.NDArray[np.int64]:
    """List every order of 0 … count-1 [count!, count]."""
    orders = np.zeros((1, 1), dtype=np.int64)
    for number in range(1, count):
        orders = np.concatenate(
            [np.insert(orders, place, number, axis=1) for place in range(number + 1)]
        )
    return orders
