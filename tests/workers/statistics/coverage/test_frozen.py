"""Intervals cover what they say: 95 % of seeds, for every estimate with batch norm frozen.

Of the whole model and each layer of a small network with every kind of layer, against dense matrices.
"""

from __future__ import annotations

import pytest

from workers import probes
from workers.contract.statistics import HessianSpec, NoiseCurvatureSpec, SpectrumSpec, TracesSpec
from workers.statistics import frozen_network, hessian, noise_curvature, spectrum, traces

pytestmark = pytest.mark.slow

FIXED, MOVING = {"num_probes": 32}, {"bn_mode": "moving_average"}
"""The least probes; the statistics of batch norm that the reference holds."""


def until_about(num_probes, measure, quantity):
    """Give settings that stop at about so many probes: at the width a first measurement had there."""
    [row] = [
        row
        for row in measure(10**6, num_probes=num_probes)
        if (row.quantity, row.layer, row.objective) == (quantity, None, "data")
    ]
    width = probes.half_width(row.stderr, row.num_samples)
    return {"num_probes": 32, "until": width / row.value, "max_probes": 4 * num_probes}


@pytest.fixture
def by_hessian(coverage, dense):
    coverage.build_once(frozen_network, "copy_network", "make_resident", "Risk")
    context = dense.case.context

    def measure(seed, **settings):
        return hessian.measure(context, HessianSpec(probe_seed=seed, **MOVING, **settings))

    return measure


HESSIAN = {"hessian_trace", "hessian_frobenius_squared"}


@pytest.mark.parametrize("num_eigenpairs", [0, 3])
def test_hessian(coverage, truth, by_hessian, num_eigenpairs):
    """Tr H and tr H², by the least probes, beside directions and without."""
    settings = FIXED | {"num_eigenpairs": num_eigenpairs}
    coverage.assert_covers(lambda seed: by_hessian(seed, **settings), truth, HESSIAN)


def test_hessian_stopped_at_a_width(coverage, truth, by_hessian):
    """The interval that was narrow enough to stop at is not too narrow."""
    settings = {"num_eigenpairs": 3}
    settings |= until_about(64, lambda *a, **k: by_hessian(*a, **settings, **k), "hessian_trace")
    coverage.assert_covers(lambda seed: by_hessian(seed, **settings), truth, HESSIAN)


def test_spectrum(coverage, truth, dense):
    """The moments of both kinds, by the least draws that have an error; two steps are exact for them."""
    coverage.build_once(frozen_network, "copy_network", "make_resident", "Risk")
    context = dense.case.context
    settings = SpectrumSpec(num_draws=32, num_steps=2, **MOVING)

    def measure(seed):
        return spectrum.measure(context, settings.model_copy(update={"probe_seed": seed}))

    coverage.assert_covers(
        measure, truth, HESSIAN | {"gradient_noise_trace", "hessian_noise_trace"}
    )


@pytest.fixture
def by_sampled_pairs(coverage, dense):
    compiled = ["CompiledNorms", "CompiledVectors", "Risk", "compile_shares"]
    coverage.build_once(noise_curvature, "copy_network", "make_resident", "dissect", *compiled)
    context = dense.case.context

    def measure(seed, **settings):
        spec = NoiseCurvatureSpec(probe_seed=seed, **MOVING, **settings)
        return noise_curvature.measure(context, spec)

    return measure


NOISE = {"hessian_noise_trace", "noise_scale"}


def test_noise_curvature(coverage, truth, by_sampled_pairs):
    """tr(σ²H) and the noise scale by the least probes; all else is exact."""
    coverage.assert_covers(lambda seed: by_sampled_pairs(seed, **FIXED), truth, NOISE)


def test_noise_curvature_stopped_at_a_width(coverage, truth, by_sampled_pairs):
    """The interval that was narrow enough to stop at is not too narrow."""
    settings = until_about(64, by_sampled_pairs, "hessian_noise_trace")
    coverage.assert_covers(lambda seed: by_sampled_pairs(seed, **settings), truth, NOISE)


@pytest.mark.parametrize("num_replicates", [1000, 2000])
def test_traces(coverage, truth, dense, num_replicates):
    """Tr H by one column an example, and the least number of further ones or the default; all else is exact."""
    coverage.build_once(traces, "copy_network", "make_resident", "dissect", "CompiledNorms")
    context = dense.case.context
    settings = TracesSpec(replicate_examples=num_replicates, **MOVING)

    def measure(seed):
        return traces.measure(context, settings.model_copy(update={"probe_seed": seed}))

    coverage.assert_covers(measure, truth, {"hessian_trace"})


def test_traces_of_a_smooth_network(coverage, dense_smooth, tools):
    """Tr H by Hessian-vector products, several probes for each batch where there are few batches."""
    compiled = ["CompiledNorms", "Risk"]
    coverage.build_once(traces, "copy_network", "make_resident", "dissect", *compiled)
    context = dense_smooth.case.context
    settings = TracesSpec(**MOVING)

    def measure(seed):
        return traces.measure(context, settings.model_copy(update={"probe_seed": seed}))

    truth = coverage.truth_of(dense_smooth.reference, tools.weight_decay)
    coverage.assert_covers(measure, truth, {"hessian_trace"})
