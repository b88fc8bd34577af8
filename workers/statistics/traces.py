"""`traces`: tr σ² exactly, tr H by first derivatives where they are enough, ‖∇L‖² and ‖θ‖²."""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import numpy as np

from workers.batch_norm import copy_network, freeze, num_pass_examples
from workers.contract.errors import user_error
from workers.contract.records import Measurement
from workers.contract.statistics import TracesSpec
from workers.losses.loss import Loss
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect, refuse_without_rules
from workers.per_example.graph import is_piecewise_linear
from workers.probes import Estimate
from workers.resident import ResidentSplit, make_resident
from workers.risk import Risk, mean_over_examples
from workers.statistics.context import MeasurementContext
from workers.statistics.groups import Groups
from workers.statistics.passes import Passes
from workers.statistics.trace_passes import (
    Norms,
    NormsPass,
    ProductsPass,
    num_product_replicates,
)
from workers.statistics.trace_rows import Circumstances, rows


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
    each decayed parameter to tr H. Columns depend on (probe_seed, example) alone, so up to
    rounding the results do not depend on how examples are cut into batches. Resumable.

    `cost_gradients` is counted, not timed: one pass forward through the network counts 1/3, one
    backward through its activations 1/3, the gradients of its parameters 1/3 each time. The pass for batch-norm
    statistics counts for the first split. `wall_seconds` are those of this attempt.

    Raises:
        UserError: The network cannot be measured: layers without a rule, all columns asked for
            where products are needed. What every statistic refuses stands in `soundness`.
        Drained: A stop was asked for; the partial sums have been saved.
    """
    return _Measuring.prepare(context, settings).run()


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
    if not is_piecewise_linear(network):
        if columns == "exact":
            raise user_error(
                f"tr H of the model {network.name!r} is not a sum over columns, as not all of it is "
                "piecewise linear in its parameters",
                where="measure, traces, columns",
                mend="give a number, the Hessian-vector products for each batch: columns: 1",
            )
        return _Route(f"hessian_vector_rademacher_{columns}", 0, 0, columns, 1)
    if columns == "exact":
        return _Route("gauss_newton_exact_columns", None, 0, 0, 1 + num_outputs)
    parts = 1 if loss.is_convex_in_outputs else 2
    method = f"gauss_newton_rademacher_{columns}"
    return _Route(method, columns, settings.replicate_examples, 0, 1 + parts * columns)


@dataclass(frozen=True)
class _Measuring:
    """One measurement, ready to run."""

    context: MeasurementContext
    settings: TracesSpec
    network: keras.Model
    route: _Route
    splits: dict[str, ResidentSplit]
    train: ResidentSplit

    @classmethod
    def prepare(cls, context: MeasurementContext, settings: TracesSpec) -> _Measuring:
        """Refuse what cannot be measured, before any work."""
        network = copy_network(context.model)
        refuse_without_rules(network)
        route = _choose_route(network, context.loss, settings)
        dataset = context.dataset
        splits: dict[str, ResidentSplit] = {
            name: make_resident(getattr(dataset, name), dataset) for name in settings.splits
        }
        train = splits.get("train") or make_resident(dataset.train, dataset)
        return cls(context, settings, network, route, splits, train)

    def run(self) -> list[Measurement]:
        """Take the statistics of batch norm, then visit each split."""
        started = time.perf_counter()
        passes = Passes(self.context.partials, self._num_examples())
        freeze(self.network, self.settings.bn_mode, self.train, passes)
        dissection = dissect(self.network)
        norms = CompiledNorms(dissection, self.context.loss, self.route.num_columns)
        groups = Groups(dissection.parameters)
        found_rows: list[Measurement] = []
        for name, split in self.splits.items():
            norms_pass = NormsPass(name, norms, groups, split, self.settings.probe_seed)
            found = norms_pass.run(passes)
            hessian_trace = self._hessian_trace(norms_pass, found, passes)
            about = self._circumstances(name, seconds=time.perf_counter() - started)
            found_rows += rows(groups, found, hessian_trace, about)
            started = time.perf_counter()
        return found_rows

    def _circumstances(self, split: str, *, seconds: float) -> Circumstances:
        num_examples = len(self.splits[split])
        is_first = split == self.settings.splits[0]
        forward_only = self._batch_norm_examples() / num_examples / 3 if is_first else 0.0
        return Circumstances(
            split=split,
            bn_mode=self.settings.bn_mode,
            hessian_method=self.route.method,
            weight_decay=self.context.trial.training.weight_decay,
            cost_gradients=self.route.cost_gradients(num_examples) + forward_only,
            wall_seconds=seconds,
        )

    def _batch_norm_examples(self) -> int:
        return num_pass_examples(self.network, self.settings.bn_mode, len(self.train))

    def _num_examples(self) -> int:
        sizes = [len(split) for split in self.splits.values()]
        num_split_passes = 2 if self.route.num_probes else 1
        replicates = self.route.num_replicates * len(sizes)
        return self._batch_norm_examples() + num_split_passes * sum(sizes) + replicates

    def _hessian_trace(self, norms_pass: NormsPass, norms: Norms, passes: Passes) -> Estimate:
        """Estimate tr H of the data objective [G]."""
        if self.route.num_probes:
            return self._products_pass(norms_pass).run(passes)
        if self.route.num_replicates:
            return norms_pass.replicate(passes, norms, self.route.num_replicates)
        exact = mean_over_examples(norms.curvatures.sum(axis=0), norms.num_examples)
        return Estimate(exact, np.zeros_like(exact))

    def _products_pass(self, norms_pass: NormsPass) -> ProductsPass:
        variables = [each.variable for each in norms_pass.groups.parameters]
        risk = Risk(self.network, self.context.loss, variables)
        return ProductsPass(
            norms_pass.name,
            risk,
            norms_pass.groups,
            norms_pass.split,
            self.settings.probe_seed,
            self.route.num_probes,
        )
