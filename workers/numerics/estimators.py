"""Arithmetic of estimates: random signs that depend on their names alone, moments, errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BITS_PER_WORD = 64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SUBSET_STREAM = 0xA11CE
_COUNTS_STREAM = 0xC0C0


def rademacher_signs(
    seed: int, stream: int, indices: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Draw independent signs ±1 [n, *shape] for examples or batches named by index [n].

    The signs of an index depend on (seed, stream, index) alone: not on the other indices, on how
    they are cut into batches, or on how often the function was called.

    Args:
        seed: Seed of the whole estimate, below 2⁶⁴.
        stream: Distinguishes independent sets for one index.
        indices: Names of the examples or batches [n].
        shape: Shape of the signs of one index.
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
    """Scramble 64-bit words [...] one by one: SplitMix64's finaliser (Steele, Lea, Flood 2014)."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def random_subset(seed: int, num_examples: int, size: int) -> npt.NDArray[np.int64]:
    """Draw examples by a seeded permutation, without replacement: sorted indices [size]."""
    generator = np.random.Generator(
        np.random.Philox(key=np.array([seed, _SUBSET_STREAM], np.uint64))
    )
    return np.sort(generator.permutation(num_examples)[:size]).astype(np.int64)


def chances(sizes: Array, *, even_share: float) -> Array:
    """Return probabilities [N] proportional to sizes [N], mixed with a uniform share.

    Uniform where all sizes are 0. The uniform share leaves no example that counts without a chance.
    """
    even = np.full(len(sizes), 1 / len(sizes))
    total = sizes.sum()
    return even if total == 0 else (1 - even_share) * sizes / total + even_share * even


def systematic_counts(expected: Array, seed: int) -> npt.NDArray[np.int64]:
    """Round expected counts [N] to integers, up or down, by systematic sampling in random order.

    The mean of every count is its expected value, and their sum is the expected sum, up to
    rounding.
    Source: Madow (1949).
    """
    generator = np.random.Generator(
        np.random.Philox(key=np.array([seed, _COUNTS_STREAM], np.uint64))
    )
    order = generator.permutation(len(expected))
    edges = np.floor(np.concatenate([[0.0], np.cumsum(expected[order])]) + generator.random())
    counts = np.zeros(len(expected), np.int64)
    counts[order] = np.diff(edges).astype(np.int64)
    return counts


@dataclass(frozen=True)
class Replicates:
    """Further, independent draws of some examples; a column for each estimated value.

    A row for each of the R examples that got any.

    Attributes:
        counts: The number that it got, k_i [R].
        chances: The probability that it got any, π_i [R].
        differences: Σ_k (t_ik - t_i1) over the further draws [R, G].
        squared_differences: Σ_k (t_ik - t_i1)² [R, G].
    """

    counts: npt.NDArray[np.int64]
    chances: Array
    differences: Array
    squared_differences: Array


def mean_with_replicates(first_draws: Array, replicates: Replicates) -> tuple[Array, Array]:
    """Estimate the mean over N examples of E[t_i], and its error, from one draw each and further ones.

    value = (1/N) Σ t̄_i, t̄_i the mean of an example's 1 + k_i draws. Unbiased, as the examples
    that get further draws are chosen without knowledge of any draw. Its error is the noise of the
    draws alone, not the spread between examples: stderr² = (1/N²) Σ_{k_i > 0} V_i (1/(1 + k_i) +
    1/π_i - 1), V_i the variance of the example's draws, which with 1/π_i - 1 stands for the
    examples with one draw alone.
    Source: Horvitz, Thompson (1952).

    Args:
        first_draws: t_i1 [N, G].
        replicates: The further draws.

    Returns:
        The value and its standard error [G].
    """
    num_examples, num_draws = len(first_draws), 1.0 + replicates.counts[:, None]
    shifts = replicates.differences / num_draws
    value = (first_draws.sum(axis=0) + shifts.sum(axis=0)) / num_examples
    squares = replicates.squared_differences - num_draws * np.square(shifts)
    variances = np.maximum(squares, 0) / replicates.counts[:, None]
    shares = 1 / num_draws + 1 / replicates.chances[:, None] - 1
    return value, np.sqrt((variances * shares).sum(axis=0)) / num_examples


@dataclass(frozen=True)
class Moments:
    """Weight [], mean [G] and uncorrected variance [G] of values of G kinds."""

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
