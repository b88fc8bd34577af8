"""Probes of batch noise: pairs of batches of each size, and a product of one batch's Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.resident import ResidentSplit
from workers.network.risk import Risk
from workers.numerics.probes import Estimate, mean_of_probes
from workers.statistics.measuring.groups import Groups

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
"""Indices of the examples of a batch [b]."""

_STREAM = 0xBA7C << 32
"""Separates these draws from others of the same seed; numbers of probes are below 2³²."""


class Draw(NamedTuple):
    """The random draws of one probe.

    Attributes:
        pairs: Two batches (A, B) for each size.
        curved: The batch whose Hessian is probed.
        signs: v = ±1 [P].
    """

    pairs: list[tuple[Places, Places]]
    curved: Places
    signs: Array


@dataclass(frozen=True)
class ProbeShape:
    """The sizes that the draws of all probes share.

    Attributes:
        sizes: Batch sizes of the pairs, ascending; all below num_examples.
        curved_size: Size of the batch whose Hessian is probed.
        num_examples: N, the number of examples to draw from.
        num_params: P.
    """

    sizes: list[int]
    curved_size: int
    num_examples: int
    num_params: int

    @property
    def num_drawn(self) -> int:
        """The number of examples in all batches of a probe."""
        return 2 * sum(self.sizes) + self.curved_size


def draw(seed: int, number: int, shape: ProbeShape) -> Draw:
    """Draw the batches and signs of a probe, which depend on (seed, number) alone.

    All batches are independent of each other. Within one, examples are drawn without replacement.
    """
    key = np.array([seed, _STREAM | number], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))

    def batch(size: int) -> Places:
        """Draw a batch [size] without replacement."""
        return generator.choice(shape.num_examples, size, replace=False)

    signs = np.where(generator.integers(0, 2, shape.num_params, dtype=bool), 1.0, -1.0)
    curved = batch(shape.curved_size)
    return Draw([(batch(size), batch(size)) for size in shape.sizes], curved, signs)


class BatchEstimates(NamedTuple):
    """Estimates for G groups; all but `total_gradient` are of the data objective.

    Attributes:
        noise: b (N-1)/(N-b) tr cov(g_B), one for each batch size.
        gradient: ‖E g_B‖², one for each batch size.
        total_gradient: ‖E g_B + weight decay‖², one for each batch size.
        hessian: tr ∇² E L_B.
    """

    noise: list[Estimate]
    gradient: list[Estimate]
    total_gradient: list[Estimate]
    hessian: Estimate


@dataclass(frozen=True)
class BatchProbes:
    """Independent probes of a network in training mode.

    Attributes:
        risk: The risk in training mode.
        split: The examples to draw from.
        groups: Groups of the risk's parameters.
        decay: weight_decay · θ [P] where it acts, else 0.
        shape: Shape of the draws.
        seed: Seed of all draws.
    """

    risk: Risk
    split: ResidentSplit
    groups: Groups
    decay: Array
    shape: ProbeShape
    seed: int

    def measure(self, number: int) -> Array:
        """Return one unbiased value of everything [(3 S + 1) G], for S batch sizes and G groups.

        For each pair of batches of b examples, with gradients g_A and g_B of their mean losses:
        b (N-1)/(N-b) ½‖g_A - g_B‖²,  ⟨g_A, g_B⟩,  ⟨g_A + decay, g_B + decay⟩; at the end Σ v ∇²L_B v
        over each group's parameters, of the batch whose Hessian is probed.
        """
        drawn = draw(self.seed, number, self.shape)
        values = [each for pair in drawn.pairs for each in self._pair(*pair)]
        product = self.risk.hessian_vector_product([self._batch(drawn.curved)], drawn.signs)
        return np.concatenate([*values, self.groups.inner_products(drawn.signs, product)])

    def estimates(self, values: Array) -> BatchEstimates:
        """Return the estimates [G] from U probes [U, (3 S + 1) G]."""
        num_groups = len(self.groups.names)
        found = mean_of_probes(values)
        each = [
            Estimate(
                found.value[start : start + num_groups], found.stderr[start : start + num_groups]
            )
            for start in range(0, values.shape[1], num_groups)
        ]
        return BatchEstimates(each[:-1:3], each[1:-1:3], each[2:-1:3], each[-1])

    def _pair(self, left: Places, right: Places) -> list[Array]:
        """Return the three values [G] of a pair of batches [b], as in `measure`."""
        num_examples, size = self.shape.num_examples, len(left)
        factor = size * (num_examples - 1) / (num_examples - size)
        one, other = (self.risk.gradient([self._batch(places)]) for places in (left, right))
        return [
            factor / 2 * self.groups.squared_norms(one - other),
            self.groups.inner_products(one, other),
            self.groups.inner_products(one + self.decay, other + self.decay),
        ]

    def _batch(self, places: Places) -> tuple[tf.Tensor, tf.Tensor]:
        """Return x [b, …] and y [b, C] of the examples at places [b]."""
        inputs, targets = self.split.batch(tf.constant(places))
        return tf.cast(inputs, self.risk.dtype), targets
