"""`batch_noise`: what drives SGD in training mode, where batch norms see the batch alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import keras

from workers.contract.errors import Fault, UserError
from workers.contract.method_text import method_of_batches
from workers.contract.records import Measurement
from workers.contract.settings import Objective
from workers.network.batch_norm import as_functional
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.numerics.probes import Estimate, StoppingRule
from workers.resumable.passes import Passes
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.groups import groups_of
from workers.statistics.measuring.impure_layers import impure_layer_faults
from workers.statistics.measuring.split_rows import SplitRows
from workers.statistics.noise.batch_probes import BatchEstimates, BatchProbes, ProbeShape

if TYPE_CHECKING:
    from workers.statistics.batch_noise import BatchNoiseSpec

_PRODUCT_COST = 3
"""Gradients that a Hessian-vector product counts for, as in `traces`."""

_OR_NONE = "or leave `batch_noise` out of `measure`"


def measure(context: MeasurementContext, settings: BatchNoiseSpec) -> list[Measurement]:
    """Measure the noise of batch gradients at multiples of the batch size m, and tr H at m.

    With L_B the mean loss of a batch B of b of the N training examples, drawn without replacement, in
    training mode, and g_B = ∇L_B; the whole model and each layer:
    `gradient_noise_trace` = b (N-1)/(N-b) tr cov(g_B), from ½‖g_A - g_B‖² of independent batches. Where
    the loss is additive over examples (no batch norm) it equals tr σ² of `traces` at every b;
    how it changes with b tells how far the loss is from that;
    `gradient_norm_squared` = ‖E g_B‖², from ⟨g_A, g_B⟩;
    `hessian_trace` = tr ∇² E[L_B] at b = m, from vᵀ∇²L_B v with a Rademacher v and a batch for each probe.

    The objective `total` adds (weight_decay/2)·‖θ_decayed‖² to L_B, thus weight_decay·θ_decayed to g_A
    and g_B alike: their difference, the noise, stays as it is. All values are unbiased; a probe takes
    one draw of everything and depends on (trial, probe_seed, its number) alone. `until` is about the
    whole model's noise at the smallest multiple. Inputs are those stored, without augmentation.
    Resumable. `cost_gradients` is counted in gradients over the training set, a Hessian-vector product as 3.

    A batch goes through the network in one piece: memory grows with the largest multiple.

    Raises:
        UserError: Layers with randomness or a state of their own, batches that leave no two to differ, or a model
            that is not a graph of layers.
        Drained: A stop was asked for; the probes have been saved.
    """
    started = time.perf_counter()
    network = as_functional(context.model)
    faults = list(_faults(network, context, settings))
    if faults:
        raise UserError(faults)
    probes = _prepare(network, context, settings)
    rule, num_drawn = StoppingRule.of(settings), probes.shape.num_drawn
    passes = Passes(context.partials, rule.most * num_drawn)
    values = passes.probe("probes", probes.measure, rule, num_drawn)
    seconds = time.perf_counter() - started
    return _rows(context, probes, probes.estimates(values), num_probes=len(values), seconds=seconds)


def _faults(
    network: keras.Model, context: MeasurementContext, settings: BatchNoiseSpec
) -> Iterator[Fault]:
    yield from impure_layer_faults(network, context.dataset.input_shape, _OR_NONE)
    sizes = {"train": len(context.dataset.train)}
    for fault in settings.data_faults(sizes, context.trial.batch_size):
        yield replace(fault, where=f"measure, {settings.name}, {fault.where}")


def _prepare(
    network: keras.Model, context: MeasurementContext, settings: BatchNoiseSpec
) -> BatchProbes:
    dataset, batch_size = context.dataset, context.trial.batch_size
    groups = groups_of(network)
    risk = Risk(network, context.loss, groups.variables, in_training=True)
    shape = ProbeShape(
        sizes=[multiple * batch_size for multiple in sorted(settings.multiples)],
        curved_size=batch_size,
        num_examples=len(dataset.train),
        num_params=risk.num_params,
    )
    decay = context.weight_decay("total") * groups.decayed_values
    split = make_resident(dataset.train, dataset)
    return BatchProbes(risk, split, groups, decay, shape, context.seed(settings.probe_seed))


def _rows(
    context: MeasurementContext,
    probes: BatchProbes,
    found: BatchEstimates,
    *,
    num_probes: int,
    seconds: float,
) -> list[Measurement]:
    shape = probes.shape
    cost = num_probes * (2 * sum(shape.sizes) + _PRODUCT_COST * shape.curved_size)
    about = SplitRows("train", "batch", cost / shape.num_examples, seconds)
    return [
        row
        for quantity, method, objective, estimate in _estimates(context, probes, found)
        for row in about.of_groups(
            quantity, method, estimate, probes.groups, objective=objective, num_samples=num_probes
        )
    ]


def _estimates(
    context: MeasurementContext, probes: BatchProbes, found: BatchEstimates
) -> Iterator[tuple[str, str, Objective, Estimate]]:
    shape, hessian = probes.shape, found.hessian
    method = method_of_batches("products", shape.curved_size)
    curvature = context.weight_decay("total") * probes.groups.num_decayed
    yield "hessian_trace", method, "data", hessian
    yield "hessian_trace", method, "total", Estimate(hessian.value + curvature, hessian.stderr)
    sizes = zip(shape.sizes, found.noise, found.gradient, found.total_gradient, strict=True)
    for size, noise, gradient, total_gradient in sizes:
        method = method_of_batches("pairs", size)
        yield "gradient_noise_trace", method, "data", noise
        yield "gradient_noise_trace", method, "total", noise
        yield "gradient_norm_squared", method, "data", gradient
        yield "gradient_norm_squared", method, "total", total_gradient
