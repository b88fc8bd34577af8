"""Hessian-vector products through layers that normalise by the moments of their own inputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.losses.squared_error import SquaredError
from workers.network.risk import Risk
from workers.network.second_derivatives import right_second_derivatives

layers = keras.layers


@pytest.mark.parametrize(
    "norm",
    [
        lambda: layers.BatchNormalization(dtype="float64"),
        lambda: layers.LayerNormalization(dtype="float64"),
        lambda: layers.GroupNormalization(groups=2, dtype="float64"),
    ],
    ids=["batch", "layer", "group"],
)
def test_products_are_differences_of_gradients(norm):
    """(∇L(θ + hv) - ∇L(θ - hv)) / 2h in float64, to the h² of the difference."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), dtype="float64")
    hidden = norm()(layers.Dense(4, activation="tanh", dtype="float64")(inputs))
    model = keras.Model(inputs, layers.Dense(2, dtype="float64")(hidden))
    risk = Risk(model, SquaredError(), in_training=True)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(6, 3)), generator.normal(size=(6, 2)).astype(np.float32)
    batch = [(tf.constant(x), tf.constant(y))]
    direction, start, step = generator.normal(size=risk.num_params), risk.params(), 1e-5

    def gradient_at(params):
        pieces = risk.split_by_param(params)
        for variable, piece in zip(model.trainable_variables, pieces, strict=True):
            variable.assign(piece.reshape(variable.shape))
        return risk.gradient(batch)

    product = risk.hessian_vector_product(batch, direction)
    difference = gradient_at(start + step * direction) - gradient_at(start - step * direction)
    size = np.abs(product).max()
    np.testing.assert_allclose(product, difference / (2 * step), atol=1e-7 * size)


@pytest.mark.parametrize("keepdims", [True, False])
def test_moments_are_those_of_tensorflow(keepdims):
    """To the bit, and TensorFlow's own function is back afterwards, whatever happens."""
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32))
    own = tf.nn.moments
    expected = own(x, [0, 1], keepdims=keepdims)
    with right_second_derivatives():
        found = tf.nn.moments(x, [0, 1], keepdims=keepdims)
        assert tf.nn.moments is not own
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)

    def fails():
        with right_second_derivatives():
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert tf.nn.moments is own
