"""Hessian-vector products through layers that normalise by the moments of their own inputs; lost ones refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops  # TensorFlow's list of gradients is not public

from workers.contract.errors import UserError
from workers.losses.squared_error import SquaredError
from workers.network.risk import Risk
from workers.network.second_derivatives import _LOST, right_second_derivatives

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


class Enlarged(layers.Layer):
    """Resizes within a function of its own."""

    def build(self, shape):
        self.resize = tf.function(lambda images: tf.image.resize(images, (6, 6)))

    def call(self, images):
        return self.resize(images)


def resized(resize, *, has_params_behind=True):
    inputs = keras.Input((3, 3, 2))
    x = resize(layers.Conv2D(2, 3, padding="same", name="before")(inputs))
    x = layers.Conv2D(2, 3, activation="tanh")(x) if has_params_behind else x
    return Risk(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)), SquaredError())


def products(risk):
    """List everything that takes a second derivative, each of 4 examples and a direction of ones."""
    x, y, ones = tf.ones((4, 3, 3, 2)), tf.ones((4, 2)), np.ones(risk.num_params)
    return [
        lambda: risk.batch_hessian_vector_product(x, y, ones),
        lambda: risk.batch_residual_product(x, y, np.ones(4), ones),
        lambda: risk.batch_slopes(x, y, ones),
    ]


def bilinear():
    return layers.UpSampling2D(2, interpolation="bilinear", name="enlarge")


@pytest.mark.parametrize(
    ("resize", "has_params_behind", "place"),
    [(bilinear, True, "enlarge"), (bilinear, False, "enlarge"), (Enlarged, True, "")],
    ids=["between parameters", "behind all parameters", "in a function"],
)
@pytest.mark.parametrize("number", range(3), ids=["product", "residual", "slopes"])
def test_a_second_derivative_that_would_lack_a_part_is_refused(
    resize, has_params_behind, place, number
):
    """Behind all parameters too, where the lost part is symmetric: the Hessian would be 0."""
    risk = resized(resize(), has_params_behind=has_params_behind)
    with pytest.raises(UserError) as caught:
        products(risk)[number]()
    [fault] = caught.value.faults
    what, _, behind = fault.what.partition(", at '")
    assert what == "TensorFlow cannot differentiate ResizeBilinearGrad and takes it for constant"
    assert place in behind
    assert behind.endswith("ResizeBilinearGrad', so that second derivatives would lack a part")
    assert fault.where == "model"
    assert fault.mend == (
        "do without that operation (instead of bilinear, UpSampling2D takes interpolation='nearest'), or "
        "leave statistics that need second derivatives out of `measure`"
    )


@pytest.mark.parametrize(
    "resize", [lambda: layers.UpSampling2D(2), lambda: layers.Conv2DTranspose(2, 3, strides=2)]
)
def test_what_can_be_differentiated_twice_is_not_refused(resize):
    """Enlarging by repetition, or by a convolution; resized inputs have no parameters before them."""
    assert all(np.isfinite(product()).all() for product in products(resized(resize())))
    inputs = keras.Input((3, 3, 2))
    x = layers.Conv2D(2, 3, activation="tanh")(bilinear()(inputs))
    risk = Risk(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)), SquaredError())
    assert all(np.isfinite(product()).all() for product in products(risk))


def test_the_gradients_that_tensorflow_takes_for_constant_are_all_known():
    """Of those it registers; arrays of tensors have gradients that are no numbers but handles."""
    registered = ops.gradient_registry._registry.items()
    found = {name for name, entry in registered if entry["type"] is None}
    gradients = {each for each in found if each.endswith(("Grad", "Gradient"))}
    assert {each for each in gradients if not each.startswith("TensorArray")} - {
        "StopGradient"
    } == _LOST
