"""The passes over a split behind `traces`: sums of per-example norms, and curvature along probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.estimators import (
    Replicates,
    mean_with_replicates,
    rademacher_signs,
    random_subset,
)
from workers.per_example.compiled import BatchNorms, CompiledNorms
from workers.probes import Estimate
from workers.resident import ResidentSplit
from workers.risk import Risk, mean_over_examples
from workers.statistics.curvature import PRODUCTS_BATCH_SIZE
from workers.statistics.groups import Groups
from workers.statistics.passes import Passes, State, batch_edges

Array = npt.NDArray[np.float64]

NORMS_BATCH_SIZE = 100

_FIRST, _SECOND = 0, 1
"""Streams of signs: the columns of every example, and the second ones of the replicates."""


@dataclass(frozen=True)
class Norms:
    """What one pass over N examples gives, for G groups and P parameters.

    Attributes:
        num_examples: N.
        mean_squared_norm: (1/N) Σ ‖g_i‖² [G].
        mean_gradient: ḡ [P].
        curvature: Σ t_i [G], t_i the example's share of tr(JᵀAJ), by one set of columns.
        first_draws: t_i of the replicate examples [R, G].
    """

    num_examples: int
    mean_squared_norm: Array
    mean_gradient: Array
    curvature: Array
    first_draws: Array


@dataclass(frozen=True)
class NormsPass:
    """Per-example norms over one split, with columns drawn by (probe seed, example).

    Attributes:
        name: Of the split; keys the saved states.
        norms: Compiled for the network.
        groups: Sums over its parameters.
        split: The examples.
        probe_seed: Of the columns and of the replicates' choice.
    """

    name: str
    norms: CompiledNorms
    groups: Groups
    split: ResidentSplit
    probe_seed: int

    def run(self, passes: Passes, num_replicates: int) -> Norms:
        """Visit every example once; keep the draws of the replicate examples."""
        chosen = self._replicates(num_replicates)
        num_examples, num_groups = len(self.split), len(self.groups.names)

        def step(state: State, places: npt.NDArray[np.int64]) -> State:
            found = self._measure(places, _FIRST)
            curvatures = self.groups.sums(found.curvatures)
            kept = curvatures[np.isin(places, chosen)]
            return {
                "squared_norms": state["squared_norms"] + found.gradient_norms.sum(axis=0),
                "gradient": state["gradient"] + found.gradient_total,
                "curvature": state["curvature"] + curvatures.sum(axis=0),
                "first_draws": np.concatenate([state["first_draws"], kept]),
            }

        start = {
            "squared_norms": np.zeros(len(self.groups.parameters)),
            "gradient": np.zeros(self.groups.values.size),
            "curvature": np.zeros(num_groups),
            "first_draws": np.zeros((0, num_groups)),
        }
        sums = passes.run(self.name, step, start, batch_edges(num_examples, NORMS_BATCH_SIZE))
        return Norms(
            num_examples,
            self.groups.sums(mean_over_examples(sums["squared_norms"], num_examples)),
            mean_over_examples(sums["gradient"], num_examples),
            sums["curvature"],
            sums["first_draws"],
        )

    def replicate(self, passes: Passes, norms: Norms) -> Estimate:
        """Draw second columns for the replicate examples; estimate tr(JᵀAJ) and its error."""
        chosen = self._replicates(len(norms.first_draws))

        def step(state: State, positions: npt.NDArray[np.int64]) -> State:
            found = self._measure(chosen[positions], _SECOND)
            difference = self.groups.sums(found.curvatures) - norms.first_draws[positions]
            return {
                "difference": state["difference"] + difference.sum(axis=0),
                "squared": state["squared"] + np.square(difference).sum(axis=0),
            }

        start = {name: np.zeros(len(self.groups.names)) for name in ("difference", "squared")}
        edges = batch_edges(len(chosen), NORMS_BATCH_SIZE)
        sums = passes.run(f"{self.name}_replicates", step, start, edges)
        replicates = Replicates(len(chosen), sums["difference"], sums["squared"])
        return Estimate(*mean_with_replicates(norms.curvature, norms.num_examples, replicates))

    def _replicates(self, size: int) -> npt.NDArray[np.int64]:
        return random_subset(self.probe_seed, len(self.split), size)

    def _measure(self, places: npt.NDArray[np.int64], stream: int) -> BatchNorms:
        signs = rademacher_signs(self.probe_seed, stream, places, self.norms.signs_shape)
        return self.norms(*self.split.batch(tf.constant(places)), signs)


@dataclass(frozen=True)
class ProductsPass:
    """tr H by Hessian-vector products over one split, two sets of fresh probes for each batch.

    With t_br = (1/K) Σ_k vᵀ(Σ_{i ∈ b} H_i)v over the K probes of replicate r = 1, 2:
    tr H = (1/N) Σ_b (t_b1 + t_b2)/2,  stderr² = (1/N²) Σ_b (t_b1 - t_b2)²/4.
    A layer's trace takes the layer's part of v and Hv; the other layers' parts average to nothing.
    Source: Hutchinson (1989).

    Attributes:
        name: Of the split; keys the saved states.
        risk: Of the network, its parameters in the order of the groups.
        groups: Sums over its parameters.
        split: The examples.
        probe_seed: Of the probes, which depend on it and on the batch's first example.
        num_probes: K.
    """

    name: str
    risk: Risk
    groups: Groups
    split: ResidentSplit
    probe_seed: int
    num_probes: int

    def run(self, passes: Passes) -> Estimate:
        """Visit every batch once."""

        def step(state: State, places: npt.NDArray[np.int64]) -> State:
            batch = self.split.batch(tf.constant(places))
            first, second = (self._traces(batch, int(places[0]), replicate) for replicate in (0, 1))
            return {
                "total": state["total"] + (first + second) / 2,
                "variance": state["variance"] + np.square(first - second) / 4,
            }

        start = {name: np.zeros(len(self.groups.names)) for name in ("total", "variance")}
        edges = batch_edges(len(self.split), PRODUCTS_BATCH_SIZE)
        sums = passes.run(f"{self.name}_products", step, start, edges)
        num_examples = len(self.split)
        return Estimate(
            mean_over_examples(sums["total"], num_examples),
            mean_over_examples(np.sqrt(sums["variance"]), num_examples),
        )

    def _traces(self, batch: tuple[tf.Tensor, tf.Tensor], unit: int, replicate: int) -> Array:
        """Average vᵀ(Σ H_i)v over the probes of one replicate [G]."""
        total = np.zeros(len(self.groups.names))
        for number in range(self.num_probes):
            stream = 2 * number + replicate
            signs = rademacher_signs(
                self.probe_seed, stream, np.array([unit]), (self.risk.num_params,)
            )
            probe = signs[0].astype(np.float64)
            product = self.risk.batch_hessian_vector_product(*batch, probe)
            total = total + self.groups.inner_products(probe, product)
        return total / self.num_probes
