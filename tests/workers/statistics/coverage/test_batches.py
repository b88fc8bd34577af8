"""Intervals of `batch_noise` cover what they say, batch norm taking each batch's own statistics.

Of a small residual network, against the dense gradients and Hessians of all batches there are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import combinations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.network.resident import make_resident
from workers.network.risk import Risk
from workers.network.second_derivatives import right_second_derivatives
from workers.statistics.algorithms import batch_noise
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.measuring.groups import groups_of

pytestmark = [pytest.mark.slow, pytest.mark.release]

NUM_TRAIN, BATCH_SIZE = 9, 3

EXACT = 1e-9
"""Rounding of the derivatives looked up, of the whole model's value."""


def batches_of(size):
    return list(combinations(range(NUM_TRAIN), size))


class AllBatches:
    """What a network in training mode has over all batches of a size."""

    def __init__(self, case, weight_decay):
        self.case, self.weight_decay = case, weight_decay
        self.loss = resolve("loss", case.loss_name)()
        self.variables = [each.value for each in case.twin.trainable_variables]
        trained = case.twin.trainable_variables
        sizes = [int(np.prod(each.shape)) for each in trained]
        self.params = np.concatenate([np.ravel(each) for each in self.variables])
        self.layers = np.repeat([each.path.split("/")[0] for each in trained], sizes)
        self.is_kernel = np.repeat([float(each.name == "kernel") for each in trained], sizes)
        self.x, self.y = case.inputs(), tf.constant(case.dataset.train.targets, tf.float64)

    @tf.function
    def gradient(self, places):
        with tf.GradientTape() as tape, keras.StatelessScope(), right_second_derivatives():
            outputs = self.case.twin(tf.gather(self.x, places), training=True)
            loss = tf.reduce_mean(self.loss.per_example(outputs, tf.gather(self.y, places)))
        pieces = tape.gradient(loss, self.variables)
        return tf.concat([tf.reshape(each, [-1]) for each in pieces], 0)

    @tf.function
    def hessian(self, places):
        """Give the batch's Hessian [P, P]."""
        with tf.GradientTape() as tape:
            gradient = self.gradient(places)
        rows = tape.jacobian(gradient, self.variables, experimental_use_pfor=False)
        flat = [tf.reshape(each, [len(self.params), -1]) for each in rows]
        return tf.concat(flat, 1)

    @cached_property
    def gradients(self):
        """Give those of all batches of each size by their examples."""
        return {
            size: {each: self.gradient(tf.constant(each)).numpy() for each in batches_of(size)}
            for size in (BATCH_SIZE, 2 * BATCH_SIZE)
        }

    @cached_property
    def hessians(self):
        return {each: self.hessian(tf.constant(each)).numpy() for each in batches_of(BATCH_SIZE)}

    @cached_property
    def mean_curvatures(self):
        return np.diag(np.mean(list(self.hessians.values()), axis=0))

    def value(self, key, layer):
        """Give the expectation of a quantity over all batches of the size that the method names."""
        size = int(key.method.rsplit("_", 1)[1])
        decay = self.weight_decay if key.objective == "total" else 0.0
        gradients = np.array(list(self.gradients[size].values()))
        mean = gradients.mean(axis=0)
        factor = size * (NUM_TRAIN - 1) / (NUM_TRAIN - size)
        of_params = {
            "gradient_noise_trace": lambda: factor * np.square(gradients - mean).mean(axis=0),
            "gradient_norm_squared": lambda: np.square(mean + decay * self.is_kernel * self.params),
            "hessian_trace": lambda: self.mean_curvatures + decay * self.is_kernel,
        }[key.quantity]()
        return of_params[(self.layers == layer) | (layer is None)].sum()


class Lookup:
    """Stands for the split and for the network's derivatives: those of a batch are known, and looked up."""

    dtype = tf.float64

    def __init__(self, known):
        self.known, self.num_params = known, len(known.params)

    def batch(self, places):
        return places, places

    def gradient(self, batches):
        places = self._places(batches)
        return self.known.gradients[len(places)][places]

    def hessian_vector_product(self, batches, vector):
        return self.known.hessians[self._places(batches)] @ vector

    def _places(self, batches):
        [(places, _)] = batches
        return tuple(sorted(places.numpy().tolist()))


@pytest.fixture(scope="module")
def batches(tools):
    """The network in float32 with its data, and its dense float64 reference."""
    case = tools.make_case("kld", num_train=NUM_TRAIN, is_small=True)
    return case, AllBatches(case, tools.weight_decay)


@pytest.fixture
def by_batches(coverage, batches):
    coverage.build_once(batch_noise, "as_functional", "impure_layer_faults")
    case, known = batches
    coverage.put_in_place(batch_noise, Risk=Lookup(known), make_resident=Lookup(known))
    context = replace(case.context, partials=coverage.partials())
    context = replace(context, trial=context.trial.model_copy(update={"batch_size": BATCH_SIZE}))

    def measure(seed, **settings):
        spec = BatchNoiseSpec(multiples=[1, 2], probe_seed=seed, **settings)
        return batch_noise.measure(context, spec)

    return measure


def test_derivatives_looked_up_are_those_of_the_network(batches):
    """What the statistic gets in the study is what it gets from the network in float32, to its rounding."""
    case, known = batches
    groups = groups_of(case.model)
    variables = [each.variable for each in groups.parameters]
    risk = Risk(case.model, case.context.loss, variables, in_training=True)
    split, vector = make_resident(case.dataset.train, case.dataset), np.ones(risk.num_params)
    vector[::3] = -1
    for places in ([1, 4, 8], [0, 2, 7]):
        chosen = tf.constant(places)
        batch, known_batch = split.batch(chosen), (chosen, chosen)
        for name, arguments in (("gradient", ()), ("hessian_vector_product", (vector,))):
            expected = getattr(Lookup(known), name)([known_batch], *arguments)
            found = getattr(risk, name)([batch], *arguments)
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


BATCH_NOISE = {"gradient_noise_trace", "gradient_norm_squared", "hessian_trace"}


def test_batch_noise(coverage, batches, by_batches):
    """M tr cov g_B at two multiples, ‖E g_B‖² and tr H at m, by the least probes."""
    coverage.assert_covers(
        lambda seed: by_batches(seed, num_probes=128), batches[1].value, BATCH_NOISE, rounding=EXACT
    )


def test_batch_noise_stopped_at_a_width(coverage, batches, by_batches):
    """The interval that was narrow enough to stop at is not too narrow."""
    settings = coverage.until_about(256, by_batches, "gradient_noise_trace", least=128)
    coverage.assert_covers(
        lambda seed: by_batches(seed, **settings), batches[1].value, BATCH_NOISE, rounding=EXACT
    )
