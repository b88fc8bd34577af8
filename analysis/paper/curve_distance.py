"""The distance between the mean curves of two cells, in units of the spread between seeds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.mathematics.regression import Array
from workers.contract.student import CONFIDENCE

_MOST_SPLITS = 20_000
"""Up to 8 seeds per cell (12,870 splits) all are counted."""

_NUM_RANDOM_SPLITS = 10_000
"""A p-value of 0.05 from so many has a standard error of 0.002."""

_LARGEST_F = 1e4
"""Beyond it (60 seed spreads) bounds grow as √F to a per cent, and the distribution is not computed."""

_ROUNDING = 1e-12
"""A spread below this share of the curves' size is rounding error."""

TOO_FEW_SEEDS = "fewer than two seeds in a cell, so no spread to compare a distance with"
NO_EPOCHS = "no epoch that every seed of both cells has"
NO_SPREAD = "no spread between seeds to compare a distance with"


@dataclass(frozen=True)
class CurveDistance:
    """δ/s: the distance of two cells' true mean curves over the spread between seeds of one cell.

    Attributes:
        num_first: Seeds of the first cell, n₁.
        num_second: Seeds of the second cell, n₂.
        f_statistic: F = D²/(c·s²), with D² the mean over epochs of (difference of mean curves)², s² that
            of the pooled variance between seeds, and c = 1/n₁ + 1/n₂; 1 on average if δ = 0.
        dimension: ν, the number of independent directions in which seeds scatter; 1 where whole
            curves are shifted, the number of epochs where these are independent.
        p_value: Share of the ways to split these seeds into two such cells with a distance as large.
        num_splits: Number of ways counted; no p-value is below 1/num_splits.
    """

    num_first: int
    num_second: int
    f_statistic: float
    dimension: float
    p_value: float
    num_splits: int

    @property
    def value(self) -> float:
        """δ/s = √max(0, c·(F - 1)): without what the scatter of the means adds to D²."""
        return math.sqrt(max(0.0, self._shrinkage * (self.f_statistic - 1)))

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Compute the confidence interval of δ/s.

        F is taken to follow a noncentral F with ν and ν·(n₁ + n₂ - 2) degrees of freedom and
        noncentrality λ = ν·(δ/s)²/c, whose bounds follow by inverting the distribution (Steiger
        2004). Exact for normal seeds in ν equally noisy directions; with ν = 1 the interval of
        Cohen's d.
        """
        tail = (1 - confidence) / 2
        low, high = (self._noncentrality(chance) for chance in (1 - tail, tail))
        scale = self._shrinkage / self.dimension * max(1.0, self.f_statistic / _LARGEST_F)
        return math.sqrt(low * scale), math.sqrt(high * scale)

    @property
    def _shrinkage(self) -> float:
        return 1 / self.num_first + 1 / self.num_second

    def _noncentrality(self, chance: float) -> float:
        """Find λ for which an F of at most this one has the given chance; 0 where there is none."""
        dof = self.dimension * (self.num_first + self.num_second - 2)
        f_statistic = min(self.f_statistic, _LARGEST_F)

        def excess(noncentrality: float) -> float:
            below = special.ncfdtr(self.dimension, dof, noncentrality, f_statistic)
            return float(below) - chance

        if excess(0.0) <= 0:
            return 0.0
        top = 1.0
        while excess(top) > 0:
            top *= 4
        # here, as it takes a third of a second, in which figures are drawn beside
        from scipy.optimize import brentq

        return float(brentq(excess, 0.0, top))


def curve_distance(curves: Array, num_first: int) -> CurveDistance | str:
    """Compare the first cell's curves [n₁ of n₁ + n₂, epochs] with the others.

    Seeds of both cells are taken to scatter alike. ν = (tr S)²/tr S² of the covariance S between
    epochs, pooled from the seeds: it is at most n₁ + n₂ - 2 and too small on average, which widens
    the interval.

    Returns:
        The distance, or a sentence that says why there is none.
    """
    num_curves, num_epochs = curves.shape
    if min(num_first, num_curves - num_first) < 2:
        return TOO_FEW_SEEDS
    if not num_epochs:
        return NO_EPOCHS
    first, second = curves[:num_first], curves[num_first:]
    residuals = np.vstack([first - first.mean(axis=0), second - second.mean(axis=0)])
    products = residuals @ residuals.T / num_epochs
    squares = float(np.trace(products))
    if squares <= (_ROUNDING * float(np.abs(curves).max())) ** 2:
        return NO_SPREAD
    difference = float(np.mean((first.mean(axis=0) - second.mean(axis=0)) ** 2))
    variance = squares / (num_curves - 2) * (1 / num_first + 1 / (num_curves - num_first))
    p_value, num_splits = _permutation_test(curves, num_first)
    return CurveDistance(
        num_first,
        num_curves - num_first,
        difference / variance,
        squares**2 / float(np.sum(products**2)),
        p_value,
        num_splits,
    )


def _permutation_test(curves: Array, num_first: int) -> tuple[float, int]:
    """Compute the share of splits of the seeds with a D² as large, and the number of splits.

    Args:
        curves: [n₁ + n₂, epochs], those of the first cell first.
        num_first: n₁.
    """
    is_first = _splits(len(curves), num_first)
    weights = np.where(is_first, 1 / num_first, -1 / (len(curves) - num_first))
    centred = curves - curves.mean(axis=0)
    distances = np.einsum("ki,ij,kj->k", weights, centred @ centred.T, weights, optimize=True)
    return float(np.mean(distances >= distances[0] * (1 - 1e-9))), len(distances)


@lru_cache(maxsize=4)
def _splits(num: int, num_first: int) -> npt.NDArray[np.bool_]:
    """List the ways to choose a first cell [ways, num]; the one observed comes first.

    For two cells of equal size each split is listed once, not also with the cells exchanged. If
    there are too many, a random sample is drawn, always the same.
    """
    is_even = 2 * num_first == num
    count = math.comb(num, num_first) // (2 if is_even else 1)
    if count > _MOST_SPLITS:
        found = np.tile(np.arange(num) < num_first, (_NUM_RANDOM_SPLITS, 1))
        found[1:] = np.random.default_rng(0).permuted(found[1:], axis=1)
        return found
    chosen = itertools.islice(itertools.combinations(range(num), num_first), count)
    members = np.array(list(chosen))
    every: npt.NDArray[np.bool_] = (members[:, :, None] == np.arange(num)).any(axis=1)
    return every
