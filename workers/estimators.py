"""Plain arithmetic of estimates: probes that depend on nothing but their names, moments, errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BITS_PER_WORD = 64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SUBSET_STREAM = 0xA11CE


def rademacher_signs(
    seed: int, stream: int, indices: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Draw independent signs ±1 [n, *shape] for examples or batches named by index [n].

    The signs of an index depend on (seed, stream, index) alone: not on the other indices, on how
    they are cut into batches, or on how often the function was called.

    Args:
        seed: Of the whole estimate.
        stream: Tells independent sets for one index apart.
        indices: Names of the units.
        shape: Signs for each unit.
    """
    num_signs = int(np.prod(shape))
    num_words = -(-num_signs // _BITS_PER_WORD)
    key = _mix(np.array([seed], np.uint64)) ^ _mix(
        np.array([stream + 1], np.uint64) << np.uint64(32)
    )
    units = _mix(_mix(key) ^ indices.astype(np.uint64))
    words = _mix(units[:, None] + _GOLDEN * np.arange(1, num_words + 1, dtype=np.uint64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    signs = 1.0 - 2.0 * bits[:, :num_signs]
    return signs.astype(np.float32).reshape(len(indices), *shape)


def _mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit words one by one: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def random_subset(seed: int, num_examples: int, size: int) -> npt.NDArray[np.int64]:
    """Choose examples without replacement by a seeded permutation; give their indices, rising."""
    generator = np.random.Generator(np.random.Philox(key=[seed, _SUBSET_STREAM]))
    return np.sort(generator.permutation(num_examples)[:size]).astype(np.int64)


@dataclass(frozen=True)
class Replicates:
    """Sums over the examples that got a second, independent draw; a column for each value estimated.

    Attributes:
        num_examples: R.
        differences: Σ (t₂ - t₁).
        squared_differences: Σ (t₂ - t₁)².
    """

    num_examples: int
    differences: Array
    squared_differences: Array


def mean_with_replicates(
    first_draws: Array, num_examples: int, replicates: Replicates
) -> tuple[Array, Array]:
    """Estimate the mean over N examples of E[t_i], and its error, from one draw each and R second ones.

    value = (1/N) [Σ_{i ∉ R} t_i1 + Σ_{i ∈ R} (t_i1 + t_i2)/2]. Unbiased, as the subset is drawn without
    a look at the draws. Only the noise of the draws makes it err, never the spread between examples.
    With V_i = Var(t_i1), estimated on the subset by (t_i2 - t_i1)²/2 and carried to the others by
    its mean V̄,  stderr² = V̄ (N - R/2) / N².

    Args:
        first_draws: Σ t_i1 over all examples.
        num_examples: N.
        replicates: Sums over the subset.

    Returns:
        The value and its standard error.
    """
    value = (first_draws + replicates.differences / 2) / num_examples
    variance_of_draw = replicates.squared_differences / 2 / replicates.num_examples
    draws_worth = num_examples - replicates.num_examples / 2
    return value, np.sqrt(variance_of_draw * draws_worth) / num_examples


@dataclass(frozen=True)
class Moments:
    """Weight, mean and uncorrected variance of a group of values; a column for each kind of value."""

    weight: Array
    mean: Array
    variance: Array

    def merge(self, other: Moments) -> Moments:
        """Pool two groups: mean = Σ wⱼ mⱼ / Σ wⱼ, variance = Σ wⱼ (vⱼ + (mⱼ - mean)²) / Σ wⱼ.

        Source: Chan, Golub, LeVeque (1983).
        """
        total = self.weight + other.weight
        share = other.weight / total
        shift = other.mean - self.mean
        variance = self.variance + (other.variance - self.variance) * share
        return Moments(total, self.mean + shift * share, variance + shift**2 * share * (1 - share))
