"""`traces`: tr σ² exactly, tr H by first derivatives where they are enough, ‖∇L‖² and ‖θ‖²."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from workers.contract.errors import user_error
from workers.contract.records import Measurement
from workers.losses.loss import Loss
from workers.network.batch_norm import as_functional
from workers.network.graph import is_piecewise_linear
from workers.network.risk import Risk, mean_over_examples
from workers.numerics.probes import Estimate, exact
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import refuse_without_rules, take_apart
from workers.resumable.passes import Passes
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.frozen_network import FrozenNetwork
from workers.statistics.measuring.groups import Groups
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.norms.trace_passes import (
    Norms,
    NormsPass,
    ProductsPass,
    num_product_replicates,
)
from workers.statistics.norms.trace_rows import HessianTrace, rows

if TYPE_CHECKING:
    from workers.statistics.traces import TracesSpec


def measure(context: MeasurementContext, settings: TracesSpec) -> list[Measurement]:
    """Measure both traces and both norms, of the whole model and of each layer, in one fused pass.

    With g_i = ∇ℓ_i and J_i = ∂z_i/∂θ over the N examples of a split:
    `gradient_noise_trace` = (1/N) Σ ‖g_i‖² - ‖ḡ‖², exact;
    `hessian_trace` = (1/N) Σ_i Σ_m w_im ‖J_iᵀ u_im‖² along columns u of the loss Hessian in the
    outputs, exact for piecewise linear networks with all columns, else unbiased over the draws of
    columns, whose error comes from further draws for some examples, more for those of large gradients
    (see `estimators.mean_with_replicates`). Networks that are
    not piecewise linear in their parameters take Hessian-vector products instead;
    `gradient_norm_squared` = ‖ḡ‖² and `parameter_norm_squared` = ‖θ‖², exact.

    The objective `total` adds (weight_decay/2)·‖θ_decayed‖²: it changes ḡ and adds weight_decay for
    each decayed parameter to tr H. Columns depend on (trial, probe_seed, example) alone, so up to
    rounding the results do not depend on how examples are cut into batches. Resumable.

    `cost_gradients` is counted, not timed: one pass forward through the network counts 1/3, one
    backward through its activations 1/3, the gradients of its parameters 1/3 each time. The population
    statistics of batch norm are taken once a trial, not counted. `wall_seconds`
    are those of this attempt.

    Raises:
        UserError: The network cannot be measured: layers without a rule, all columns asked for
            where products are needed. What every statistic refuses stands in `soundness`.
        Drained: A stop was asked for; the partial sums have been saved.
    """
    graph = as_functional(context.model)
    refuse(graph, settings)
    route = _choose_route(graph, context.loss, settings)
    passes = Passes(context.partials, _num_examples(context, settings, route))
    frozen = FrozenNetwork.of(context, settings.bn_mode, settings.splits, passes)
    return _TracesRun(context, settings, route, frozen, passes).run()


def refuse(network: keras.Model, settings: TracesSpec) -> None:
    """Refuse a network that cannot be measured so, trained or not.

    Raises:
        UserError: Layers without a rule; all columns asked for where products are needed.
    """
    refuse_without_rules(network)
    if settings.columns == "exact" and not is_piecewise_linear(network):
        raise user_error(
            f"tr H of the model {network.name!r} is not a sum over columns, as not all of it is "
            "piecewise linear in its parameters",
            where="measure, traces, columns",
            mend="give a number, the Hessian-vector products for each batch: columns: 1",
        )


@dataclass(frozen=True)
class _Route:
    """How tr H is measured.

    Attributes:
        method: As recorded.
        num_columns: For the fused pass: K, None for all, 0 where products do the work.
        num_replicates: R asked for; 0 where nothing is random, or where products do the work.
        num_probes: K of the Hessian-vector products for each replicate; 0 for none.
        cotangents: Passes backward of the fused pass.
    """

    method: str
    num_columns: int | None
    num_replicates: int
    num_probes: int
    cotangents: int

    def cost_gradients(self, num_examples: int) -> float:
        """Count the work in gradients over the split."""
        fused = (1 + 2 * self.cotangents) / 3
        replicated = self.num_replicates / num_examples
        products = self.num_probes * num_product_replicates(num_examples)
        return fused * (1 + replicated) + 3 * products


def _choose_route(network: keras.Model, loss: Loss, settings: TracesSpec) -> _Route:
    columns, num_outputs = settings.columns, int(network.output_shape[-1])
    if columns == "exact":
        return _Route("gauss_newton_exact_columns", None, 0, 0, 1 + num_outputs)
    if not is_piecewise_linear(network):
        return _Route(f"hessian_vector_rademacher_{columns}", 0, 0, columns, 1)
    parts = 1 if loss.is_convex_in_outputs else 2
    method = f"gauss_newton_rademacher_{columns}"
    return _Route(method, columns, settings.replicate_examples, 0, 1 + parts * columns)


def _num_examples(context: MeasurementContext, settings: TracesSpec, route: _Route) -> int:
    """Count the examples of all passes, for the progress."""
    sizes = [len(context.split(name)) for name in settings.splits]
    return (2 if route.num_probes else 1) * sum(sizes) + route.num_replicates * len(sizes)


@dataclass(frozen=True)
class _TracesRun:
    """One measurement, ready to run."""

    context: MeasurementContext
    settings: TracesSpec
    route: _Route
    frozen: FrozenNetwork
    passes: Passes

    def run(self) -> list[Measurement]:
        """Visit each split."""
        started = time.perf_counter()
        norms = self._norms()
        groups, decay = Groups(norms.parameters), self.context.weight_decay("total")
        risk = Risk(self.frozen.network, self.context.loss, groups.variables)
        seed = self.context.seed(self.settings.probe_seed)
        found: list[Measurement] = []
        for name, split in self.frozen.splits.items():
            norms_pass = NormsPass(name, norms, groups, split, seed)
            of_norms = norms_pass.run(self.passes)
            trace = self._hessian_trace(norms_pass, of_norms, risk)
            cost, seconds = self.route.cost_gradients(len(split)), time.perf_counter() - started
            about = SplitRows(name, self.settings.bn_mode, cost, seconds)
            found += rows(about, groups, of_norms, HessianTrace(self.route.method, trace), decay)
            started = time.perf_counter()
        return found

    def _norms(self) -> CompiledNorms:
        loss, num_columns = self.context.loss, self.route.num_columns
        norms = self.frozen.built.get(
            ("traces", num_columns),
            lambda: CompiledNorms(take_apart(self.frozen.network), loss, num_columns),
        )
        norms.take_weights()
        return norms

    def _hessian_trace(self, norms_pass: NormsPass, norms: Norms, risk: Risk) -> Estimate:
        """Estimate tr H of the data objective [G]."""
        if self.route.num_probes:
            return self._products_pass(norms_pass, risk).run(self.passes)
        if self.route.num_replicates:
            return norms_pass.replicate(self.passes, norms, self.route.num_replicates)
        return exact(mean_over_examples(norms.curvatures.sum(axis=0), norms.num_examples))

    def _products_pass(self, norms_pass: NormsPass, risk: Risk) -> ProductsPass:
        return ProductsPass(
            norms_pass.name,
            risk,
            norms_pass.groups,
            norms_pass.split,
            norms_pass.seed,
            self.route.num_probes,
        )
