"""Estimators whose errors are not theirs are caught by the check of coverage."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.network.batch_norm import copy_network
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.numerics.probes import half_width, mean_of_probes
from workers.per_example.compiled import CompiledNorms
from workers.per_example.dissection import dissect
from workers.per_example.vectors import CompiledVectors
from workers.resumable.passes import Passes
from workers.statistics.measuring.groups import Groups
from workers.statistics.noise.noise_probes import NoiseProbes, compile_shares
from workers.statistics.norms.example_norms import measure_norms
from workers.statistics.norms.trace_passes import NormsPass

pytestmark = [pytest.mark.slow, pytest.mark.release]


class Study:
    """A network made ready, with more examples than the other studies have."""

    def __init__(self, case, reference, partials):
        network = copy_network(case.model)
        dissection, self.loss = dissect(network), case.context.loss
        self.groups, self.reference = Groups(dissection.parameters), reference
        self.train = make_resident(case.dataset.train, case.dataset)
        self.norms = CompiledNorms(dissection, self.loss, 1)
        self.vectors = CompiledVectors(dissection, self.loss)
        self.passes = Passes(partials, len(self.train))
        variables = [each.variable for each in self.groups.parameters]
        self.risk = Risk(network, self.loss, variables)

    def truth(self, quantity):
        return np.array([self.reference.value(quantity, layer) for layer in self.groups.names])

    def noise_probes(self):
        norms = measure_norms("train", self.norms, self.train, self.passes, 0)
        shares = compile_shares(self.groups)
        return NoiseProbes(norms, self.vectors, self.risk, self.groups, self.train, shares, 0)


@pytest.fixture(scope="module")
def study(tools):
    case = tools.make_case("kld", num_train=200)
    reference = tools.dense_reference(case)
    return Study(case, reference, tools.partials())


def faults_of(coverage, names, estimates, num_samples, truth):
    """Name the groups whose stated intervals do not cover what they say."""
    values, stderrs = np.array(estimates).transpose(1, 0, 2)
    widths = np.array([[half_width(each, num_samples) for each in row] for row in stderrs])
    return coverage.series(names, values, widths).faults(truth)


def test_the_spread_between_examples_is_no_error_bar(study, coverage):
    """Put in the place of the columns' own, it covers far more than it says, and the check tells."""
    num_examples, places = len(study.train), np.arange(len(study.train))

    def measure(seed):
        one = NormsPass("train", study.norms, study.groups, study.train, seed)
        curvatures = study.groups.sums(one._measure(places, places, 0).curvatures)
        spread = curvatures.std(axis=0, ddof=1) / np.sqrt(num_examples)
        return curvatures.mean(axis=0), spread

    estimates = [measure(seed) for seed in range(400)]
    truth = study.truth("hessian_trace")
    assert 0 in faults_of(coverage, study.groups.names, estimates, num_examples, truth)


def test_gradients_and_curvature_of_the_same_examples_are_caught(study, coverage):
    """gᵀH_Bg with both from one batch is biased: its intervals miss the truth."""
    probes = study.noise_probes()
    probes.__dict__["_gradient_chances"] = np.full(len(study.train), 1 / len(study.train))

    def measure(generator):
        places = generator.choice(len(study.train), 4)
        noise = probes._noise_factor(places)
        signs = generator.choice([-1.0, 1.0], 4)
        vector = (signs @ noise.numpy()).astype(np.float64)
        batch = study.train.batch(tf.constant(places))
        product = study.risk.batch_hessian_vector_product(*batch, vector) / 4
        return study.groups.inner_products(vector, product)

    def estimate(seed):
        generator = np.random.default_rng(seed)
        return mean_of_probes(np.array([measure(generator) for _ in range(64)]))

    estimates, truth = [estimate(seed) for seed in range(40)], study.truth("hessian_noise_trace")
    assert faults_of(coverage, study.groups.names, estimates, 64, truth)
