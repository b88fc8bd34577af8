"""Intervals cover what they say: 95 % of seeds, for every estimate with batch norm frozen.

Of the whole model and each layer of a small network with every kind of layer, against dense matrices.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.statistics.algorithms import hessian, spectrum, traces
from workers.statistics.hessian import HessianSpec
from workers.statistics.measuring import frozen_network
from workers.statistics.measuring.groups import groups_of
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.traces import TracesSpec

pytestmark = [pytest.mark.slow, pytest.mark.release]

FIXED, MOVING = {"num_probes": 64}, {"bn_mode": "moving_average"}
"""The least probes; the statistics of batch norm that the reference holds."""


class DenseRisk:
    """Stands for a split and the network's derivatives over all of it: products with dense matrices."""

    def __init__(self, reference):
        self.gradients, self.hessian = reference.gradients, reference.hessian
        self.num_params = len(reference.params)

    def __len__(self):
        return len(self.gradients)

    def batch(self, places):
        return places, places

    def batch_hessian_vector_product(self, inputs, targets, vector):
        assert len(inputs) == len(self)
        return len(self) * (self.hessian @ vector)

    def weighted_gradient(self, inputs, targets, weights):
        return weights @ self.gradients


def test_dense_products_are_those_of_the_network(dense):
    """What a statistic gets in the study is what it gets from the network in float32, to its rounding."""
    case, reference = dense
    groups = groups_of(case.model)
    assert list(np.repeat([each.layer for each in groups.parameters], groups.sizes)) == (
        reference.layers
    )
    risk = Risk(case.model, case.context.loss, [each.variable for each in groups.parameters])
    batch = make_resident(case.dataset.train, case.dataset).batch(tf.range(60))
    generator = np.random.default_rng(0)
    for name, size in (("batch_hessian_vector_product", 313), ("weighted_gradient", 60)):
        vector = generator.choice([-1.0, 1.0], size)
        expected = getattr(DenseRisk(reference), name)(*batch, vector)
        found = getattr(risk, name)(*batch, vector)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def put_dense_in_place(coverage, dense):
    coverage.build_once(frozen_network, "copy_network")
    stand_in = DenseRisk(dense.reference)
    coverage.put_in_place(frozen_network, find_resident=stand_in, Risk=stand_in)


EXACT = 1e-9
"""Rounding of the dense products, of the whole model's value."""


@pytest.fixture
def by_hessian(coverage, dense):
    put_dense_in_place(coverage, dense)
    context = dense.case.context

    def measure(seed, **settings):
        return hessian.measure(context, HessianSpec(probe_seed=seed, **MOVING, **settings))

    return measure


HESSIAN = {"hessian_trace", "hessian_frobenius_squared"}


@pytest.mark.parametrize("num_eigenpairs", [0, 3])
def test_hessian(coverage, truth, by_hessian, num_eigenpairs):
    """Tr H and tr H², by the least probes, beside directions and without."""
    settings = FIXED | {"num_eigenpairs": num_eigenpairs}
    coverage.assert_covers(
        lambda seed: by_hessian(seed, **settings), truth, HESSIAN, rounding=EXACT
    )


def test_hessian_stopped_at_a_width(coverage, truth, by_hessian):
    """The interval that was narrow enough to stop at is not too narrow."""
    settings = {"num_eigenpairs": 3}
    settings |= coverage.until_about(
        128, lambda seed, **more: by_hessian(seed, **settings | more), "hessian_trace", least=64
    )
    coverage.assert_covers(
        lambda seed: by_hessian(seed, **settings), truth, HESSIAN, rounding=EXACT
    )


def test_spectrum(coverage, truth, dense):
    """The moments of both kinds, by the least draws that have an error; two steps are exact for them."""
    put_dense_in_place(coverage, dense)
    context = dense.case.context
    settings = SpectrumSpec(num_draws=64, num_steps=2, **MOVING)

    def measure(seed):
        return spectrum.measure(context, settings.model_copy(update={"probe_seed": seed}))

    estimated = HESSIAN | {"gradient_noise_trace", "hessian_noise_trace"}
    coverage.assert_covers(measure, truth, estimated, rounding=EXACT)


@pytest.mark.parametrize("num_replicates", [1000, 2000])
def test_traces(coverage, truth, dense, num_replicates):
    """Tr H by one column an example, and the least number of further ones or the default; all else is exact."""
    coverage.build_once(frozen_network, "copy_network", "make_resident")
    coverage.build_once(traces, "as_functional", "take_apart", "CompiledNorms")
    context = dense.case.context
    settings = TracesSpec(replicate_examples=num_replicates, **MOVING)

    def measure(seed):
        return traces.measure(context, settings.model_copy(update={"probe_seed": seed}))

    coverage.assert_covers(measure, truth, {"hessian_trace"})


def test_traces_of_a_smooth_network(coverage, dense_smooth, tools):
    """Tr H by Hessian-vector products, several probes for each batch where there are few batches."""
    coverage.build_once(frozen_network, "copy_network", "make_resident")
    coverage.build_once(traces, "as_functional", "take_apart", "CompiledNorms", "Risk")
    context = dense_smooth.case.context
    settings = TracesSpec(**MOVING)

    def measure(seed):
        return traces.measure(context, settings.model_copy(update={"probe_seed": seed}))

    truth = coverage.truth_of(dense_smooth.reference, tools.weight_decay)
    coverage.assert_covers(measure, truth, {"hessian_trace"})
