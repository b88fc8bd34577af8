"""Two ways to the norms of a convolution's per-example gradients, against each example's own gradient."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.per_example.rules.products import Gram, Instantiated, choose_products

GEOMETRIES = [
    dict(zip(("kernel_size", "strides", "dilation_rate", "padding"), each, strict=True))
    for each in itertools.product([(3, 3), (2, 3), (1, 1)], [1, 2], [1, 2], ["same", "valid"])
    if each[1] == 1 or each[2] == 1  # Keras has no dilation with strides
]


@pytest.fixture
def make_layer():
    """Make a layer in float64 on 4 images of 6 × 7 × 3, with two cotangents."""

    def make(**geometry):
        generator = np.random.default_rng(0)
        layer = keras.layers.Conv2D(5, use_bias=False, dtype="float64", **geometry)
        layer(keras.Input((6, 7, 3), dtype="float64"))
        inputs = tf.constant(generator.normal(size=(4, 6, 7, 3)))
        shape = layer(inputs).shape
        return layer, inputs, [tf.constant(generator.normal(size=shape)) for _ in range(2)]

    return make


def kernel_gradient(layer, inputs, cotangent):
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
    return tape.gradient(outputs, layer.kernel.value, output_gradients=cotangent).numpy()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("kind", [Instantiated, Gram])
def test_products_are_those_of_each_examples_own_gradient(kind, geometry, make_layer):
    """Norms, total and inner products, for every kernel size, stride, dilation and padding."""
    layer, inputs, cotangents = make_layer(**geometry)
    singles = np.stack(
        [
            [kernel_gradient(layer, inputs[b : b + 1], each[b : b + 1]) for each in cotangents]
            for b in range(4)
        ]
    )
    scale = np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    products = kind(layer, inputs, cotangents)
    norms = products.squared_norms(tf.constant(scale))
    np.testing.assert_allclose(norms, np.square(singles * scale).sum((2, 3, 4, 5)), rtol=1e-12)
    np.testing.assert_allclose(products.total(), singles[:, 0].sum(0), atol=1e-12)
    kernel = np.random.default_rng(1).normal(size=layer.kernel.shape)
    inner = products.inner_products(tf.constant(kernel))
    np.testing.assert_allclose(inner, (singles * kernel).sum((2, 3, 4)), atol=1e-12)


@pytest.mark.parametrize(("size", "kind"), [(16, Instantiated), (4, Gram)])
def test_few_places_take_gram_matrices(size, kind):
    """With 16 channels in and out, 256 places are many and 16 are few."""
    layer = keras.layers.Conv2D(16, 3, padding="same")
    layer(keras.Input((size, size, 16)))
    inputs = tf.zeros((1, size, size, 16))
    assert type(choose_products(layer, inputs, [layer(inputs)] * 2)) is kind
