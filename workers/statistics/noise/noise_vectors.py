"""Vectors whose covariance is that of the gradient noise, by one weighted gradient per batch."""

from __future__ import annotations

from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.resident import ResidentSplit
from workers.network.risk import Risk, mean_over_examples
from workers.numerics.estimators import rademacher_signs
from workers.resumable.passes import Passes, State, batch_edges

Array = npt.NDArray[np.float64]

GRADIENTS_BATCH_SIZE = 100

_SIGNS = 0x701E
"""Stream of the signs, distinct from those of the other statistics."""


@final
class NoiseVectors:
    """w = N^(-1/2) Σ ε_i (g_i - ḡ) [P] over the N examples of a split, ε_i independent signs.

    E[wwᵀ] = (1/N) Σ (g_i - ḡ)(g_i - ḡ)ᵀ = σ², exactly. Signs depend on (seed, draw, example) alone.

    Args:
        risk: The risk, whose gradients are used.
        split: The examples.
        seed: Seed of the signs.
        passes: Runs the gradients; ḡ and each draw count as N examples of the progress.
    """

    def __init__(self, risk: Risk, split: ResidentSplit, seed: int, passes: Passes) -> None:
        self._risk, self._split, self._seed, self._passes = risk, split, seed, passes

    @property
    def num_examples(self) -> int:
        """The number of examples, N."""
        return len(self._split)

    def mean_gradient(self) -> Array:
        """Return ḡ [P]; the pass is run once."""
        return self._mean_gradient

    def draw(self, number: int) -> Array:
        """Return the vector w [P] of a number.

        Raises:
            Drained: A stop was asked for; the partial sum has been saved.
        """
        signs = rademacher_signs(self._seed, _SIGNS + number, np.arange(self.num_examples), ())
        total = self._weighted_total("noise_vector", signs.astype(np.float64), repetition=number)
        centred = total - signs.sum(dtype=np.float64) * self.mean_gradient()
        return np.asarray(centred / np.sqrt(self.num_examples))

    @cached_property
    def _mean_gradient(self) -> Array:
        """ḡ [P]."""
        total = self._weighted_total("mean_gradient", np.ones(self.num_examples), repetition=0)
        return mean_over_examples(total, self.num_examples)

    def _weighted_total(self, key: str, weights: Array, *, repetition: int) -> Array:
        """Return Σ_i w_i g_i [P] over the split, weights w [N]."""

        def step(state: State, places: npt.NDArray[np.int64]) -> State:
            """Add the weighted gradient [P] of the examples at places [B]."""
            batch = self._split.batch(tf.constant(places))
            return {"sum": state["sum"] + self._risk.weighted_gradient(*batch, weights[places])}

        edges = batch_edges(self.num_examples, GRADIENTS_BATCH_SIZE)
        start = {"sum": np.zeros(self._risk.num_params)}
        return self._passes.run(key, step, start, edges, repetition=repetition)["sum"]
