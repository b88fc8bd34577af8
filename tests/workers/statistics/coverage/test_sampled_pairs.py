"""Intervals of `noise_curvature` cover what they say: tr(σ²H) and the noise scale.

Of a small residual network and each of its layers, against dense matrices. What the network gives for one
example is computed once, by the compiled functions themselves, and looked up.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from workers.network.batch_norm import copy_network
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.per_example.dissection import dissect
from workers.per_example.vectors import CompiledVectors
from workers.statistics.algorithms import noise_curvature
from workers.statistics.measuring import frozen_network
from workers.statistics.noise_curvature import NoiseCurvatureSpec

pytestmark = [pytest.mark.slow, pytest.mark.release]

NUM_TRAIN = 40
PATTERNS = np.array(list(product([-1.0, 1.0], repeat=3)), np.float32)
"""All signs of a column of three outputs."""


class Lookup:
    """Stands for the split, and for vectors and products of the examples it gave last."""

    def __init__(self, case):
        self.split = make_resident(case.dataset.train, case.dataset)
        self.targets, self.places = self.split.targets, np.arange(NUM_TRAIN)
        self.network = Network(case, self.split)
        self.num_params = self.network.risk.num_params

    def __len__(self):
        return NUM_TRAIN

    def batch(self, places):
        self.places = np.asarray(places)
        return self.split.batch(places)

    def gradients(self, inputs, targets):
        return tf.gather(self.network.gradients, self.places)

    def columns(self, inputs, targets, signs):
        patterns = ((signs.numpy()[:, 0] + 1) @ [2, 1, 0.5]).astype(int)
        vectors, weights = self.network.columns
        chosen = np.stack([patterns, self.places], axis=1)
        return tf.gather_nd(vectors, chosen)[None], tf.gather_nd(weights, chosen)[None]

    def batch_residual_product(self, inputs, targets, weights, vector):
        return weights @ (self.network.residuals[self.places] @ vector)

    def batch_hessian_vector_product(self, inputs, targets, vector):
        return self.network.risk.batch_hessian_vector_product(inputs, targets, vector)


class Network:
    """All that the compiled functions of a network give for each example."""

    def __init__(self, case, split):
        network, loss = copy_network(case.model), case.context.loss
        dissection = dissect(network)
        vectors = CompiledVectors(dissection, loss)
        risk = Risk(network, loss, [each.variable for each in dissection.parameters])
        x, y = split.batch(tf.range(NUM_TRAIN))
        self.gradients = vectors.gradients(x, y)
        found = [
            vectors.columns(x, y, tf.tile(tf.constant(each)[None, None], [NUM_TRAIN, 1, 1]))
            for each in PATTERNS
        ]
        self.columns = [tf.stack([each[part][0] for each in found]) for part in (0, 1)]
        self.risk, one = risk, np.ones(1)
        singles = [(x[place : place + 1], y[place : place + 1]) for place in range(NUM_TRAIN)]
        self.residuals = np.array(
            [
                [risk.batch_residual_product(*each, one, unit) for unit in np.eye(risk.num_params)]
                for each in singles
            ]
        )


@pytest.fixture(scope="module")
def small(tools):
    """The network, its dense reference, and its stand-in."""
    case = tools.make_case("kld", num_train=NUM_TRAIN, is_small=True)
    return case, tools.dense_reference(case), Lookup(case)


@pytest.fixture
def by_sampled_pairs(coverage, small):
    case, _, stand_in = small
    case.partials = coverage.partials()
    coverage.build_once(frozen_network, "copy_network")
    coverage.build_once(noise_curvature, "as_functional", "take_apart", "CompiledNorms")
    coverage.build_once(noise_curvature, "compile_shares")
    coverage.put_in_place(frozen_network, find_resident=stand_in)
    coverage.put_in_place(noise_curvature, CompiledVectors=stand_in, Risk=stand_in)
    context = case.context

    def measure(seed, **settings):
        spec = NoiseCurvatureSpec(probe_seed=seed, bn_mode="moving_average", **settings)
        return noise_curvature.measure(context, spec)

    return measure


@pytest.fixture
def small_truth(coverage, small, tools):
    return coverage.truth_of(small[1], tools.weight_decay)


NOISE = {"hessian_noise_trace", "noise_scale"}


def test_noise_curvature(coverage, small_truth, by_sampled_pairs):
    """tr(σ²H) and the noise scale by the least probes; all else is exact."""
    coverage.assert_covers(lambda seed: by_sampled_pairs(seed, num_probes=64), small_truth, NOISE)


def test_noise_curvature_stopped_at_a_width(coverage, small_truth, by_sampled_pairs):
    """The interval that was narrow enough to stop at is not too narrow."""
    settings = coverage.until_about(128, by_sampled_pairs, "hessian_noise_trace", least=64)
    coverage.assert_covers(lambda seed: by_sampled_pairs(seed, **settings), small_truth, NOISE)
