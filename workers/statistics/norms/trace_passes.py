"""The passes over a split behind `traces`: sums of per-example norms, and curvature along probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.network.resident import ResidentSplit
from workers.network.risk import Risk, mean_over_examples
from workers.numerics.estimators import (
    Replicates,
    chances,
    mean_with_replicates,
    rademacher_signs,
    systematic_counts,
)
from workers.numerics.probes import Cumulants, Estimate, cumulants_of_mean, sampled
from workers.per_example.compiled import BatchNorms, CompiledNorms
from workers.resumable.passes import Passes, State, batch_edges
from workers.statistics.measuring.curvature import PRODUCTS_BATCH_SIZE
from workers.statistics.measuring.groups import Groups

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

NORMS_BATCH_SIZE = 100

_FIRST, _SECOND = 0, 1
"""Streams of signs: the columns of every example, and the further columns of the replicates."""

_PRODUCTS = 0x9D00
"""The first stream of the probes."""

_LEAST_PRODUCTS = 64

_EVEN_SHARE = 0.2
"""The share of the further columns that is spread evenly."""


@dataclass(frozen=True)
class Norms:
    """The norms from one pass over N examples, for G groups and P parameters.

    Attributes:
        mean_squared_norm: (1/N) Σ ‖g_i‖² [G].
        mean_gradient: ḡ [P].
        gradient_norms: ‖g_i‖² [N].
        curvatures: t_i [N, G], the example's share of tr(JᵀAJ), from one set of columns.
    """

    mean_squared_norm: Array
    mean_gradient: Array
    gradient_norms: Array
    curvatures: Array

    @property
    def num_examples(self) -> int:
        """The number of examples, N."""
        return len(self.gradient_norms)


@dataclass(frozen=True)
class NormsPass:
    """Per-example norms over one split, with columns drawn by (seed, example).

    Attributes:
        name: Name of the split, under which states are saved.
        norms: The compiled norms of the network.
        groups: Sums over its parameters.
        split: The examples.
        seed: Seed of the columns and of the choice of replicates.
    """

    name: str
    norms: CompiledNorms
    groups: Groups
    split: ResidentSplit
    seed: int

    def run(self, passes: Passes) -> Norms:
        """Compute the norms of every example in one pass."""
        num_examples, num_groups = len(self.split), len(self.groups.names)

        def step(state: State, places: Places) -> State:
            """Add the examples at places [B]."""
            found = self._measure(places, places, _FIRST)
            norms, curvatures = found.gradient_norms, self.groups.sums(found.curvatures)
            return {
                "squared_norms": state["squared_norms"] + norms.sum(axis=0),
                "gradient": state["gradient"] + found.gradient_total,
                "gradient_norms": np.concatenate([state["gradient_norms"], norms.sum(axis=1)]),
                "curvatures": np.concatenate([state["curvatures"], curvatures]),
            }

        start = {
            "squared_norms": np.zeros(len(self.groups.parameters)),
            "gradient": np.zeros(self.groups.values.size),
            "gradient_norms": np.zeros(0),
            "curvatures": np.zeros((0, num_groups)),
        }
        sums = passes.run(self.name, step, start, batch_edges(num_examples, NORMS_BATCH_SIZE))
        return Norms(
            self.groups.sums(mean_over_examples(sums["squared_norms"], num_examples)),
            mean_over_examples(sums["gradient"], num_examples),
            sums["gradient_norms"],
            sums["curvatures"],
        )

    def replicate(self, passes: Passes, norms: Norms, num_replicates: int) -> Estimate:
        """Draw further columns, more of them for large gradients; estimate tr(JᵀAJ) and its error.

        The norm of an example's gradient does not depend on its columns, and shows where their
        error is.
        """
        expected = num_replicates * chances(norms.gradient_norms, even_share=_EVEN_SHARE)
        counts = systematic_counts(expected, self.seed)
        chosen = np.flatnonzero(counts)
        counts, first_draws = counts[chosen], norms.curvatures[chosen]
        owners = np.repeat(np.arange(len(chosen)), counts)
        numbers = np.concatenate([np.arange(count) for count in counts])

        def step(state: State, positions: Places) -> State:
            """Add the further draws at these positions [B] among all."""
            here = owners[positions]
            names = chosen[here] + len(self.split) * numbers[positions]
            found = self._measure(chosen[here], names, _SECOND)
            difference = self.groups.sums(found.curvatures) - first_draws[here]
            return {
                "difference": _with_added(state["difference"], here, difference),
                "squared": _with_added(state["squared"], here, np.square(difference)),
            }

        start = {name: np.zeros_like(first_draws) for name in ("difference", "squared")}
        edges = batch_edges(len(owners), NORMS_BATCH_SIZE)
        sums = passes.run(f"{self.name}_replicates", step, start, edges)
        replicates = Replicates(
            counts,
            np.minimum(expected[chosen], 1.0),
            sums["difference"],
            sums["squared"],
        )
        return sampled(*mean_with_replicates(norms.curvatures, replicates))

    def _measure(self, places: Places, names: Places, stream: int) -> BatchNorms:
        """Measure the examples at places [B], with columns drawn by names [B] from a stream."""
        signs = rademacher_signs(self.seed, stream, names, self.norms.signs_shape)
        return self.norms(*self.split.batch(tf.constant(places)), signs)


def _with_added(sums: Array, rows: Places, values: Array) -> Array:
    """Return a copy of the sums [R, G] with values [B, G] added to their rows [B]."""
    total = sums.copy()
    np.add.at(total, rows, values)
    return total


@dataclass(frozen=True)
class ProductsPass:
    """tr H by Hessian-vector products over one split, with fresh probes for each batch.

    With t_br = (1/K) Σ_k vᵀ(Σ_{i ∈ b} H_i)v over the K probes of replicate r = 1 … R:
    tr H = (1/N) Σ_b t̄_b,  stderr² = (1/N²) Σ_b s_b²/R, s_b² the variance of the t_br, widened by
    their skewness as in `probes.mean_of_probes`, where it can be estimated. R is 2, and more for
    few batches.
    A layer's trace takes the layer's part of v and Hv; the other layers' parts average to zero.
    Source: Hutchinson (1989).

    Attributes:
        name: Name of the split, under which states are saved.
        risk: The risk of the network, its parameters in the order of the groups.
        groups: Sums over its parameters.
        split: The examples.
        seed: Seed of the probes, which depend on it and on the batch's first example.
        num_probes: K.
    """

    name: str
    risk: Risk
    groups: Groups
    split: ResidentSplit
    seed: int
    num_probes: int

    def run(self, passes: Passes) -> Estimate:
        """Estimate tr H [G] in one pass over the batches."""
        num_replicates = num_product_replicates(len(self.split))

        def step(state: State, places: Places) -> State:
            """Add the cumulants [G] of the batch of examples at places [B]."""
            batch = self.split.batch(tf.constant(places))
            traces = [self._traces(batch, int(places[0]), each) for each in range(num_replicates)]
            of_batch = cumulants_of_mean(np.array(traces))
            return {name: state[name] + value for name, value in of_batch._asdict().items()}

        start = {name: np.zeros(len(self.groups.names)) for name in Cumulants._fields}
        edges = batch_edges(len(self.split), PRODUCTS_BATCH_SIZE)
        sums = passes.run(f"{self.name}_products", step, start, edges)
        found = Cumulants(**sums)
        return sampled(
            mean_over_examples(found.mean, len(self.split)),
            mean_over_examples(found.stderr, len(self.split)),
        )

    def _traces(self, batch: tuple[tf.Tensor, tf.Tensor], unit: int, replicate: int) -> Array:
        """Average vᵀ(Σ H_i)v [G] over the probes of a replicate, for a batch x [B, …], y [B, C]."""
        total = np.zeros(len(self.groups.names))
        for number in range(self.num_probes):
            stream = _PRODUCTS + replicate * self.num_probes + number
            signs = rademacher_signs(self.seed, stream, np.array([unit]), (self.risk.num_params,))
            probe = signs[0].astype(np.float64)
            product = self.risk.batch_hessian_vector_product(*batch, probe)
            total = total + self.groups.inner_products(probe, product)
        return total / self.num_probes


def num_product_replicates(num_examples: int) -> int:
    """Return R, the independent probes of each batch of a split: at least 64 over all batches."""
    num_batches = len(batch_edges(num_examples, PRODUCTS_BATCH_SIZE)) - 1
    return max(2, -(-_LEAST_PRODUCTS // num_batches))
