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

from workers import probes
from workers.contract.catalog import resolve
from workers.contract.statistics import BatchNoiseSpec
from workers.statistics import batch_noise

pytestmark = pytest.mark.slow

NUM_TRAIN, BATCH_SIZE = 9, 3


def build_residual_network(dtype):
    """Build a network of two convolutions with batch norm, one in a branch beside a shortcut."""
    layers, of_dtype = keras.layers, {"dtype": dtype}
    inputs = keras.Input((6, 6, 2), dtype=dtype)
    x = layers.Conv2D(2, 3, padding="same", use_bias=False, name="stem", **of_dtype)(inputs)
    x = layers.BatchNormalization(name="stem_norm", **of_dtype)(x)
    x = layers.Activation("relu", **of_dtype)(x)
    y = layers.Conv2D(2, 3, padding="same", use_bias=False, name="inner", **of_dtype)(x)
    y = layers.BatchNormalization(name="inner_norm", **of_dtype)(y)
    x = layers.Activation("relu", **of_dtype)(layers.Add(**of_dtype)([x, y]))
    x = layers.GlobalAveragePooling2D(**of_dtype)(x)
    return keras.Model(inputs, layers.Dense(3, name="outputs", **of_dtype)(x))


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
        with tf.GradientTape() as tape, keras.StatelessScope():
            outputs = self.case.twin(tf.gather(self.x, places), training=True)
            loss = tf.reduce_mean(self.loss.per_example(outputs, tf.gather(self.y, places)))
        pieces = tape.gradient(loss, self.variables)
        return tf.concat([tf.reshape(each, [-1]) for each in pieces], 0)

    @tf.function
    def curvatures(self, places):
        """Give the diagonal of the batch's Hessian."""
        with tf.GradientTape() as tape:
            gradient = self.gradient(places)
        rows = tape.jacobian(gradient, self.variables, experimental_use_pfor=False)
        flat = [tf.reshape(each, [len(self.params), -1]) for each in rows]
        return tf.linalg.diag_part(tf.concat(flat, 1))

    def over_all(self, function, size):
        return np.array(
            [function(tf.constant(each)) for each in combinations(range(NUM_TRAIN), size)]
        )

    @cached_property
    def gradients(self):
        return {size: self.over_all(self.gradient, size) for size in (BATCH_SIZE, 2 * BATCH_SIZE)}

    @cached_property
    def mean_curvatures(self):
        return self.over_all(self.curvatures, BATCH_SIZE).mean(axis=0)

    def value(self, key, layer):
        """Give the expectation of a quantity over all batches of the size that the method names."""
        size = int(key.method.rsplit("_", 1)[1])
        decay = self.weight_decay if key.objective == "total" else 0.0
        gradients = self.gradients[size]
        mean = gradients.mean(axis=0)
        factor = size * (NUM_TRAIN - 1) / (NUM_TRAIN - size)
        of_params = {
            "gradient_noise_trace": lambda: factor * np.square(gradients - mean).mean(axis=0),
            "gradient_norm_squared": lambda: np.square(mean + decay * self.is_kernel * self.params),
            "hessian_trace": lambda: self.mean_curvatures + decay * self.is_kernel,
        }[key.quantity]()
        return of_params[(self.layers == layer) | (layer is None)].sum()


@pytest.fixture(scope="module")
def batches(tools):
    """The network in float32 with its data, and its dense float64 reference."""
    case = tools.make_case("kld", num_train=NUM_TRAIN)
    model, twin = build_residual_network("float32"), build_residual_network("float64")
    tools.randomise(model, seed=1)
    twin.set_weights(model.get_weights())
    case = replace(case, model=model, twin=twin)
    return case, AllBatches(case, tools.weight_decay)


@pytest.fixture
def by_batches(coverage, batches):
    coverage.build_once(batch_noise, "as_functional", "_random_layers", "Risk", "make_resident")
    case = batches[0]
    context = replace(case.context, partials=coverage.partials())
    context = replace(context, trial=context.trial.model_copy(update={"batch_size": BATCH_SIZE}))

    def measure(seed, **settings):
        spec = BatchNoiseSpec(multiples=[1, 2], probe_seed=seed, **settings)
        return batch_noise.measure(context, spec)

    return measure


BATCH_NOISE = {"gradient_noise_trace", "gradient_norm_squared", "hessian_trace"}


def test_batch_noise(coverage, batches, by_batches):
    """M tr cov g_B at two multiples, ‖E g_B‖² and tr H at m, by the least probes."""
    coverage.assert_covers(
        lambda seed: by_batches(seed, num_probes=32), batches[1].value, BATCH_NOISE
    )


def test_batch_noise_stopped_at_a_width(coverage, batches, by_batches):
    """The interval that was narrow enough to stop at is not too narrow."""
    row = next(
        row
        for row in by_batches(10**6, num_probes=128)
        if (row.quantity, row.layer) == ("gradient_noise_trace", None)
    )
    until = probes.half_width(row.stderr, 64) * np.sqrt(2) / row.value
    settings = {"num_probes": 32, "until": until, "max_probes": 256}
    coverage.assert_covers(lambda seed: by_batches(seed, **settings), batches[1].value, BATCH_NOISE)
