"""`noise_curvature`: tr(σ²H) without bias, and the noise scales."""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from workers.batch_norm import copy_network, freeze, num_pass_examples
from workers.contract.records import Measurement
from workers.contract.statistics import NoiseCurvatureSpec
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import Dissection, dissect, refuse_without_rules
from workers.per_example.vectors import CompiledVectors
from workers.probes import StoppingRule, mean_of_probes
from workers.resident import ResidentSplit, make_resident
from workers.risk import Risk
from workers.statistics.context import MeasurementContext
from workers.statistics.curvature import Curvature
from workers.statistics.example_norms import ExampleNorms, measure_norms
from workers.statistics.groups import Groups
from workers.statistics.noise_probes import (
    NUM_COLUMNS,
    NUM_GRADIENTS,
    NUM_RESIDUALS,
    NoiseProbes,
    compile_shares,
)
from workers.statistics.noise_rows import Circumstances, Found, rows
from workers.statistics.passes import Passes
from workers.weights import refuse_non_finite

Array = npt.NDArray[np.float64]


def measure(context: MeasurementContext, settings: NoiseCurvatureSpec) -> list[Measurement]:
    """Measure tr(σ²H) of the whole model and each layer's share of it, and the noise scales.

    `hessian_noise_trace` = tr(σ²H), unbiased, from probes that sample examples by their norms (see
    `noise_probes`); its stderr is that of a mean of independent probes. A layer's value is its
    share Σ_{p ∈ layer} (σ²H)_pp, and the shares add up to the whole. Exact beside it, as numerators and
    denominators: `gradient_noise_trace` tr σ², `gradient_norm_squared` ‖∇L‖², `gradient_curvature`
    ∇LᵀH∇L; of these `simple_noise_scale` = tr σ² / ‖∇L‖² and `noise_scale` = tr(σ²H) / ∇LᵀH∇L
    (McCandlish et al. 2018, 1812.06162, Eqs 2.8 and 2.9).

    The objective `total` adds weight_decay D to H, D = 1 where weights decay: weight_decay tr(σ²D)
    to tr(σ²H), exactly. Resumable: every probe is kept, and depends on (probe_seed, number) alone.

    `cost_gradients` counts a norm pass as `traces` does, one gradient for each example vector, three
    for each Hessian-vector product.

    Raises:
        UserError: The network cannot be measured: weights not finite, layers without a rule.
        Drained: A stop was asked for; what was measured has been saved.
    """
    refuse_non_finite(context.model)
    network = copy_network(context.model)
    refuse_without_rules(network)
    train = make_resident(context.dataset.train, context.dataset)
    test = make_resident(context.dataset.test, context.dataset)
    chosen: dict[str, ResidentSplit] = {
        name: train if name == "train" else test for name in settings.splits
    }
    passes = Passes(context.partials, _num_examples(context, settings, network, chosen))
    freeze(network, settings.bn_mode, train, passes)
    dissection = dissect(network)
    measuring = _Measuring(context, settings, network, dissection, passes, chosen)
    return [row for name in chosen for row in measuring.run(name)]


@dataclass(frozen=True)
class _Measuring:
    context: MeasurementContext
    settings: NoiseCurvatureSpec
    network: keras.Model
    dissection: Dissection
    passes: Passes
    splits: dict[str, ResidentSplit]

    def run(self, name: str) -> list[Measurement]:
        """Measure one split."""
        started, split = time.perf_counter(), self.splits[name]
        loss, groups = self.context.loss, Groups(self.dissection.parameters)
        compiled = CompiledNorms(self.dissection, loss, num_columns=1)
        norms = measure_norms(name, compiled, split, self.passes, self.settings.probe_seed)
        variables = [each.variable for each in groups.parameters]
        risk = Risk(self.network, loss, variables)
        curvatures = self._gradient_curvatures(name, norms, risk, groups)
        vectors = CompiledVectors(self.dissection, loss)
        shares, seed = compile_shares(groups), self.settings.probe_seed
        probes = NoiseProbes(norms, vectors, risk, groups, split, shares, seed)
        rule = StoppingRule.of(self.settings)
        values = self.passes.probe(f"{name}_probes", probes.measure, rule, _EXAMPLES_A_PROBE)
        about = Circumstances(
            split=name,
            bn_mode=self.settings.bn_mode,
            weight_decay=self.context.trial.training.weight_decay,
            num_examples=len(split),
            num_probes=len(values),
            cost_gradients=self._cost(len(values), len(split), num_products=len(curvatures)),
            wall_seconds=time.perf_counter() - started,
        )
        return rows(groups, Found(norms, mean_of_probes(values), curvatures), about)

    def _gradient_curvatures(
        self, name: str, norms: ExampleNorms, risk: Risk, groups: Groups
    ) -> dict[str, Array]:
        """Give each layer's share of ∇LᵀH∇L [G] for each objective; equal ones are taken once."""
        decay, split = self.context.trial.training.weight_decay, self.splits[name]
        strengths = {"data": 0.0, "total": decay} if decay else {"data": 0.0}
        found: dict[str, Array] = {}
        for objective, strength in strengths.items():
            curvature = Curvature(
                risk,
                split,
                np.arange(len(split)),
                strength * groups.is_decayed,
                self.passes,
                name=f"{name}_{objective}_product",
            )
            gradient = norms.mean_gradient + strength * groups.decayed_values
            found[objective] = groups.inner_products(gradient, curvature.product(gradient, turn=0))
        return found

    def _cost(self, num_probes: int, num_examples: int, *, num_products: int) -> float:
        columns = 1 if self.context.loss.is_convex_in_outputs else 2
        of_norms = (1 + 2 * (1 + columns)) / 3
        of_probe = NUM_GRADIENTS + columns * NUM_COLUMNS + 3 * NUM_RESIDUALS
        return of_norms + 3 * num_products + num_probes * of_probe / num_examples


_EXAMPLES_A_PROBE = NUM_GRADIENTS + NUM_COLUMNS + NUM_RESIDUALS


def _num_examples(
    context: MeasurementContext,
    settings: NoiseCurvatureSpec,
    network: keras.Model,
    splits: dict[str, ResidentSplit],
) -> int:
    num_products = 2 if context.trial.training.weight_decay else 1
    in_probes = StoppingRule.of(settings).most * _EXAMPLES_A_PROBE
    in_splits = sum(len(split) * (1 + num_products) + in_probes for split in splits.values())
    num_train = len(context.dataset.train)
    return num_pass_examples(network, settings.bn_mode, num_train) + in_splits
