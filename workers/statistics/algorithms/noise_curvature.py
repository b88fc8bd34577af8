"""`noise_curvature`: tr(σ²H) without bias, and the noise scales."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.contract.settings import Objective, SplitName
from workers.losses.loss import Loss
from workers.network.batch_norm import as_functional
from workers.network.risk import Risk
from workers.numerics.probes import StoppingRule, mean_of_probes
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import Dissection, refuse_without_rules, take_apart
from workers.per_example.vectors import CompiledVectors
from workers.resumable.passes import Passes
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.curvature import Curvature
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.measuring.groups import Groups
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.noise.noise_probes import (
    NUM_COLUMNS,
    NUM_GRADIENTS,
    NUM_RESIDUALS,
    NoiseProbes,
    Shares,
    compile_shares,
)
from workers.statistics.noise.noise_rows import MeasuredNoise, rows
from workers.statistics.norms.example_norms import ExampleNorms, measure_norms

if TYPE_CHECKING:
    from workers.statistics.noise_curvature import NoiseCurvatureSpec

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
    to tr(σ²H), exactly. Resumable: every probe is kept, and depends on (trial, probe_seed, number) alone.

    `cost_gradients` counts a norm pass as `traces` does, one gradient for each example vector, three
    for each Hessian-vector product. The population statistics of batch norm are taken once a trial,
    not counted.

    Raises:
        UserError: The network cannot be measured: layers without a rule.
        Drained: A stop was asked for; what was measured has been saved.
    """
    refuse_without_rules(as_functional(context.model))
    passes = Passes(context.partials, _num_examples(context, settings))
    frozen = FrozenNetwork.of(context, settings.bn_mode, settings.splits, passes)
    compiled = frozen.built.get(
        "noise_curvature", lambda: _Compiled.of(frozen.network, context.loss)
    )
    compiled.dissection.take_weights()
    groups = Groups(compiled.dissection.parameters)
    measuring = _NoiseCurvatureRun(context, settings, frozen, passes, compiled, groups)
    return [row for name in frozen.splits for row in measuring.run(name)]


@dataclass(frozen=True)
class _Compiled:
    """What is compiled once for all splits and weights.

    Attributes:
        dissection: The network taken apart.
        norms: One column an example.
        risk: Its parameters in the order of the groups.
        vectors: Of single examples.
        shares: Of the groups' parameters.
    """

    dissection: Dissection
    norms: CompiledNorms
    risk: Risk
    vectors: CompiledVectors
    shares: Shares

    @classmethod
    def of(cls, network: keras.Model, loss: Loss) -> _Compiled:
        dissection = take_apart(network)
        groups = Groups(dissection.parameters)
        return cls(
            dissection,
            CompiledNorms(dissection, loss, num_columns=1),
            Risk(network, loss, groups.variables),
            CompiledVectors(dissection, loss),
            compile_shares(groups),
        )


@dataclass(frozen=True)
class _NoiseCurvatureRun:
    context: MeasurementContext
    settings: NoiseCurvatureSpec
    frozen: FrozenNetwork
    passes: Passes
    compiled: _Compiled
    groups: Groups

    def run(self, name: SplitName) -> list[Measurement]:
        """Measure one split."""
        started, split = time.perf_counter(), self.frozen.splits[name]
        groups, seed = self.groups, self.context.seed(self.settings.probe_seed)
        norms = measure_norms(name, self.compiled.norms, split, self.passes, seed)
        curvatures = self._gradient_curvatures(name, norms)
        probes = NoiseProbes(
            norms,
            self.compiled.vectors,
            self.compiled.risk,
            groups,
            split,
            self.compiled.shares,
            seed,
        )
        rule = StoppingRule.of(self.settings)
        values = self.passes.probe(f"{name}_probes", probes.measure, rule, _EXAMPLES_A_PROBE)
        cost = self._cost(len(values), len(split), num_products=len(curvatures))
        about = SplitRows(name, self.settings.bn_mode, cost, time.perf_counter() - started)
        found = MeasuredNoise(norms, mean_of_probes(values), len(values), curvatures)
        return rows(about, groups, found, self.context.weight_decay("total"))

    def _gradient_curvatures(self, name: SplitName, norms: ExampleNorms) -> dict[str, Array]:
        """Return each layer's share of ∇LᵀH∇L [G] for each objective; equal ones are taken once."""
        groups, split = self.groups, self.frozen.splits[name]
        found: dict[str, Array] = {}
        for objective in _objectives(self.context):
            strength = self.context.weight_decay(objective)
            curvature = Curvature(
                self.compiled.risk,
                split,
                np.arange(len(split)),
                strength * groups.is_decayed,
                self.passes,
                name=f"{name}_{objective}_product",
            )
            gradient = norms.mean_gradient + strength * groups.decayed_values
            found[objective] = groups.inner_products(
                gradient, curvature.product(gradient, repetition=0)
            )
        return found

    def _cost(self, num_probes: int, num_examples: int, *, num_products: int) -> float:
        columns = 1 if self.context.loss.is_convex_in_outputs else 2
        of_norms = (1 + 2 * (1 + columns)) / 3
        of_probe = NUM_GRADIENTS + columns * NUM_COLUMNS + 3 * NUM_RESIDUALS
        return of_norms + 3 * num_products + num_probes * of_probe / num_examples


_EXAMPLES_A_PROBE = NUM_GRADIENTS + NUM_COLUMNS + NUM_RESIDUALS


def _objectives(context: MeasurementContext) -> tuple[Objective, ...]:
    """List the objectives that differ."""
    return ("data", "total") if context.weight_decay("total") else ("data",)


def _num_examples(context: MeasurementContext, settings: NoiseCurvatureSpec) -> int:
    """Count the examples of all passes, for the progress."""
    num_passes = 1 + len(_objectives(context))
    in_probes = StoppingRule.of(settings).most * _EXAMPLES_A_PROBE
    return sum(len(context.split(name)) * num_passes + in_probes for name in settings.splits)
