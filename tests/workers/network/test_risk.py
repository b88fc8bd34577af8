"""L(θ), its gradient and its Hessian-vector products, against closed forms and finite differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.losses.kld import KullbackLeibler
from workers.losses.squared_error import SquaredError
from workers.network.risk import Risk


@pytest.fixture
def regression():
    """A linear model in float64 on 7 examples of 4 features, and batches of 5 and 2."""
    inputs = keras.Input((4,), dtype="float64")
    layer = keras.layers.Dense(1, use_bias=False, dtype="float64")
    model = keras.Model(inputs, layer(inputs))
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(7, 4)), generator.normal(size=(7, 1)).astype(np.float32)
    batches = [(tf.constant(X[cut]), tf.constant(y[cut])) for cut in (slice(5), slice(5, 7))]
    return model, X, y.astype(np.float64), batches


def test_linear_regression_has_its_closed_forms(regression):
    """L = ½ mean r², ∇L = Xᵀr/N, H = XᵀX/N; batches of unequal size count by their size."""
    model, X, y, batches = regression
    risk = Risk(model, SquaredError())
    residual = X @ risk.params()[:, None] - y
    assert risk.loss(batches) == pytest.approx(np.mean(residual**2) / 2, rel=1e-14)
    np.testing.assert_allclose(risk.gradient(batches), (X.T @ residual / 7)[:, 0], rtol=1e-13)
    vector = np.array([1.0, -2.0, 0.5, 3.0])
    product = risk.hessian_vector_product(batches, vector)
    np.testing.assert_allclose(product, X.T @ X @ vector / 7, rtol=1e-13)
    of_batch = risk.batch_hessian_vector_product(*batches[1], vector)
    np.testing.assert_allclose(of_batch, X[5:].T @ X[5:] @ vector, rtol=1e-13)


def test_losses_gradients_and_slopes_of_one_batch(regression):
    """Σ ℓ, Σ ∇ℓ and every example's slope along a vector, in closed form."""
    model, X, y, batches = regression
    risk = Risk(model, SquaredError())
    residual = X[:5] @ risk.params()[:, None] - y[:5]
    both = risk.batch_loss_and_gradient(*batches[0])
    assert both[0] == pytest.approx(np.sum(residual**2) / 2, rel=1e-13)
    np.testing.assert_allclose(both[1:], (X[:5].T @ residual)[:, 0], rtol=1e-13)
    vector = np.array([1.0, -2.0, 0.5, 3.0])
    slopes = risk.batch_slopes(*batches[0], vector)
    np.testing.assert_allclose(slopes, residual[:, 0] * (X[:5] @ vector), rtol=1e-12)


@pytest.fixture
def smooth_net():
    """Convolution, batch norm and tanh in float64, with 6 images."""
    layers, dtype = keras.layers, {"dtype": "float64"}
    inputs = keras.Input((5, 5, 2), dtype="float64")
    x = layers.Conv2D(3, 3, **dtype)(inputs)
    x = layers.Activation("tanh", **dtype)(layers.BatchNormalization(**dtype)(x))
    outputs = layers.Dense(3, **dtype)(layers.GlobalAveragePooling2D(**dtype)(x))
    generator = np.random.default_rng(1)
    images = tf.constant(generator.normal(size=(6, 5, 5, 2)))
    targets = tf.constant(np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]])
    return keras.Model(inputs, outputs), [(images, targets)]


def test_products_are_derivatives_of_gradients(smooth_net):
    """Hv is the central difference of ∇L along v, at a step where its error is 1e-9."""
    model, batches = smooth_net
    risk = Risk(model, KullbackLeibler())
    vector = np.random.default_rng(2).normal(size=risk.num_params)
    product = risk.hessian_vector_product(batches, vector)
    params, step = risk.params(), 1e-5

    def gradient_at(values):
        for variable, piece in zip(
            model.trainable_variables, risk.split_by_param(values), strict=True
        ):
            variable.assign(piece.reshape(variable.shape))
        return risk.gradient(batches)

    difference = gradient_at(params + step * vector) - gradient_at(params - step * vector)
    np.testing.assert_allclose(product, difference / (2 * step), atol=1e-8)
    assert np.linalg.norm(product) > 0.1


def test_products_are_symmetric_and_linear(smooth_net):
    """uᵀHv = vᵀHu, H(2u + v) = 2Hu + Hv, to rounding."""
    model, batches = smooth_net
    risk = Risk(model, KullbackLeibler())
    u, v = np.random.default_rng(3).normal(size=(2, risk.num_params))
    Hu, Hv = (risk.hessian_vector_product(batches, each) for each in (u, v))
    assert u @ Hv == pytest.approx(v @ Hu, rel=1e-10)
    both = risk.hessian_vector_product(batches, 2 * u + v)
    np.testing.assert_allclose(both, 2 * Hu + Hv, atol=1e-12)


def test_products_are_compiled_once(smooth_net):
    """Another vector and another batch size trace nothing anew."""
    model, [(images, targets)] = smooth_net
    num_calls = 0

    class Counting(KullbackLeibler):
        def per_example(self, outputs, targets):
            nonlocal num_calls
            num_calls += 1
            return super().per_example(outputs, targets)

    risk = Risk(model, Counting())
    for size in (6, 4, 1):
        vector = np.full(risk.num_params, float(size))
        risk.hessian_vector_product([(images[:size], targets[:size])], vector)
    assert num_calls == 1


def test_params_come_in_the_order_asked_for(smooth_net):
    """A given list of variables sets the order of every vector."""
    model, batches = smooth_net
    backwards = model.trainable_variables[::-1]
    risk = Risk(model, KullbackLeibler(), backwards)
    plain = Risk(model, KullbackLeibler())
    pieces = plain.split_by_param(plain.gradient(batches))[::-1]
    np.testing.assert_allclose(risk.gradient(batches), np.concatenate(pieces), rtol=1e-12)


def test_weights_of_examples(smooth_net):
    """Σ w_b g_b is linear in the weights, and the gradient where all are 1/B."""
    model, [(images, targets)] = smooth_net
    risk = Risk(model, KullbackLeibler())
    single = np.array([risk.gradient([(images[i : i + 1], targets[i : i + 1])]) for i in range(6)])
    weights = np.random.default_rng(4).normal(size=6)
    np.testing.assert_allclose(
        risk.weighted_gradient(images, targets, weights), weights @ single, atol=1e-13
    )
    whole = risk.weighted_gradient(images, targets, np.full(6, 1 / 6))
    np.testing.assert_allclose(whole, risk.gradient([(images, targets)]), atol=1e-13)
