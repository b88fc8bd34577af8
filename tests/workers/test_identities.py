"""Closed forms and identities of gradient, Hessian and noise that hold without a reference implementation."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.losses.kld import KullbackLeibler
from workers.losses.squared_error import SquaredError
from workers.network.risk import Risk

NUM_EXAMPLES, NUM_CLASSES = 14, 3


def one_hot(generator, num_examples=NUM_EXAMPLES):
    return np.eye(NUM_CLASSES)[generator.integers(0, NUM_CLASSES, num_examples)]


def batches_of(inputs, targets, sizes):
    """Cut examples into batches of these sizes."""
    edges = np.cumsum([0, *sizes])
    cuts = [slice(start, end) for start, end in itertools.pairwise(edges)]
    return [(tf.constant(inputs[cut]), tf.constant(targets[cut], tf.float32)) for cut in cuts]


def dense_hessian(risk, batches):
    return np.array(
        [risk.hessian_vector_product(batches, unit) for unit in np.eye(risk.num_params)]
    )


def dense_noise(risk, inputs, targets):
    """Give σ² [P, P] from every example's gradient on its own."""
    singles = batches_of(inputs, targets, [1] * len(inputs))
    return np.cov([risk.gradient([each]) for each in singles], rowvar=False, ddof=0)


def assign(model, params):
    """Set θ [P] in the order of the trainable variables."""
    start = 0
    for variable in model.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(params[start : start + size].reshape(variable.shape))
        start += size


def dense_model(*widths, activation=None, use_bias=False):
    """Build a float64 perceptron from the number of inputs to that of outputs."""
    layers = keras.layers
    x = inputs = keras.Input((widths[0],), dtype="float64")
    for place, width in enumerate(widths[1:], start=2):
        here = activation if place < len(widths) else None
        x = layers.Dense(width, activation=here, use_bias=use_bias, dtype="float64")(x)
    model = keras.Model(inputs, x)
    generator = np.random.default_rng(11)
    assign(
        model, generator.normal(0, 0.7, sum(v.value.shape.num_elements() for v in model.weights))
    )
    return model


@pytest.fixture
def convolutional():
    """Two convolutions with batch norm between, frozen, generic weights; and 14 images."""
    layers, dtype = keras.layers, {"dtype": "float64"}

    def build(activation="relu"):
        inputs = keras.Input((5, 5, 2), dtype="float64")
        x = layers.Conv2D(3, 3, use_bias=False, name="first", **dtype)(inputs)
        x = layers.BatchNormalization(name="norm", **dtype)(x)
        x = layers.Activation(activation, **dtype)(x)
        x = layers.Conv2D(4, 2, use_bias=False, name="second", **dtype)(x)
        x = layers.GlobalAveragePooling2D(**dtype)(x)
        model = keras.Model(inputs, layers.Dense(NUM_CLASSES, name="outputs", **dtype)(x))
        generator = np.random.default_rng(5)
        for weight in model.weights:
            values = generator.normal(0, 0.6, weight.shape)
            weight.assign(np.abs(values) + 0.5 if weight.name == "moving_variance" else values)
        return model

    generator = np.random.default_rng(6)
    return build, generator.normal(size=(NUM_EXAMPLES, 5, 5, 2)), one_hot(generator)


def test_linear_regression():
    """½(xᵀw - y)²: H = XᵀX/N, and σ² is the covariance of the (xᵀw - y) x, by explicit loops."""
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(NUM_EXAMPLES, 5)), generator.normal(size=(NUM_EXAMPLES, 1))
    y = y.astype(np.float32).astype(np.float64)
    model = dense_model(5, 1)
    risk = Risk(model, SquaredError())
    batches = batches_of(X, y, [8, 6])
    hessian = dense_hessian(risk, batches)
    np.testing.assert_allclose(hessian, X.T @ X / NUM_EXAMPLES, rtol=1e-12)
    residual = X @ risk.params() - y[:, 0]
    noise = np.zeros((5, 5))
    mean = sum(residual[i] * X[i] for i in range(NUM_EXAMPLES)) / NUM_EXAMPLES
    for i in range(NUM_EXAMPLES):
        centred = residual[i] * X[i] - mean
        noise += np.outer(centred, centred) / NUM_EXAMPLES
    np.testing.assert_allclose(dense_noise(risk, X, y), noise, rtol=1e-11)


def test_softmax_regression():
    """H = (1/N) Σ xxᵀ ⊗ (diag p - ppᵀ), tr H = (1/N) Σ (1 - Σ p²)‖x‖², ‖g_i‖² = ‖p - y‖²‖x‖²."""
    generator = np.random.default_rng(2)
    X, Y = generator.normal(size=(NUM_EXAMPLES, 4)), one_hot(generator)
    model = dense_model(4, NUM_CLASSES)
    risk = Risk(model, KullbackLeibler())
    batches = batches_of(X, Y, [9, 5])
    P = tf.nn.softmax(model(X)).numpy()
    expected = np.mean(
        [np.kron(np.outer(x, x), np.diag(p) - np.outer(p, p)) for x, p in zip(X, P, strict=True)],
        axis=0,
    )
    hessian = dense_hessian(risk, batches)
    np.testing.assert_allclose(hessian, expected, atol=1e-12)
    squared = np.square(X).sum(axis=1)
    assert np.trace(hessian) == pytest.approx(np.mean((1 - np.square(P).sum(1)) * squared))
    for number, single in enumerate(batches_of(X, Y, [1] * NUM_EXAMPLES)):
        norm = np.square(risk.gradient([single])).sum()
        assert norm == pytest.approx(np.square(P[number] - Y[number]).sum() * squared[number])


def test_softmax_regression_at_zero():
    """At zero weights tr H = (1 - 1/C) mean ‖x‖² = tr σ² + ‖∇L‖²."""
    generator = np.random.default_rng(3)
    X, Y = generator.normal(size=(NUM_EXAMPLES, 4)), one_hot(generator)
    model = dense_model(4, NUM_CLASSES)
    assign(model, np.zeros(4 * NUM_CLASSES))
    risk = Risk(model, KullbackLeibler())
    batches = batches_of(X, Y, [NUM_EXAMPLES])
    trace = np.trace(dense_hessian(risk, batches))
    noise = np.trace(dense_noise(risk, X, Y))
    expected = (1 - 1 / NUM_CLASSES) * np.square(X).sum(axis=1).mean()
    assert trace == pytest.approx(expected)
    assert noise + np.square(risk.gradient(batches)).sum() == pytest.approx(expected)


def test_a_two_layer_linear_network():
    """½(bᵀAᵀx - y)² by hand, where the residual makes H differ from the Gauss-Newton matrix.

    H_AA = xxᵀ ⊗ bbᵀ, H_bb = AᵀxxᵀA, H_Ab = x ⊗ b (Aᵀx)ᵀ + r x ⊗ I, means over examples.
    """
    generator = np.random.default_rng(4)
    X, y = generator.normal(size=(NUM_EXAMPLES, 3)), generator.normal(size=(NUM_EXAMPLES, 1))
    y = y.astype(np.float32).astype(np.float64)
    model = dense_model(3, 2, 1)
    risk = Risk(model, SquaredError())
    A, b = (variable.value.numpy() for variable in model.trainable_variables)
    b = b[:, 0]
    expected, curved = np.zeros((8, 8)), np.zeros((8, 8))
    for x, target in zip(X, y[:, 0], strict=True):
        hidden = A.T @ x
        jacobian = np.concatenate([np.kron(x, b), hidden])
        residual = hidden @ b - target
        expected += np.outer(jacobian, jacobian) / NUM_EXAMPLES
        mixed = residual * np.kron(x[:, None], np.eye(2)) / NUM_EXAMPLES
        curved[:6, 6:] += mixed
        curved[6:, :6] += mixed.T
    hessian = dense_hessian(risk, batches_of(X, y, [5, 9]))
    np.testing.assert_allclose(hessian, expected + curved, atol=1e-12)
    assert np.linalg.norm(curved) > 0.1 * np.linalg.norm(hessian)
    assert np.trace(hessian) == pytest.approx(np.trace(expected))


def test_a_loss_times_a_constant(convolutional):
    """c·ℓ: ∇L and H times c, σ² times c², tr(σ²H) times c³."""

    class Tripled(KullbackLeibler):
        def per_example(self, outputs, targets):
            return 3 * super().per_example(outputs, targets)

    build, images, targets = convolutional
    model, batches = build(), batches_of(images, targets, [NUM_EXAMPLES])
    plain, tripled = Risk(model, KullbackLeibler()), Risk(model, Tripled())
    vector = np.random.default_rng(7).normal(size=plain.num_params)
    products = [risk.hessian_vector_product(batches, vector) for risk in (plain, tripled)]
    np.testing.assert_allclose(products[1], 3 * products[0], rtol=1e-9, atol=1e-13)
    noises = [dense_noise(risk, images, targets) for risk in (plain, tripled)]
    np.testing.assert_allclose(noises[1], 9 * noises[0], rtol=1e-9, atol=1e-13)
    scalars = [
        np.sum(noise * dense_hessian(risk, batches))
        for noise, risk in zip(noises, (plain, tripled), strict=True)
    ]
    assert scalars[1] == pytest.approx(27 * scalars[0])


@pytest.mark.parametrize("sizes", [[14], [5, 9], [1, 6, 7], [4, 4, 4, 2]])
def test_batches_count_by_their_size(convolutional, sizes):
    """Ragged or not, in any order, twice over: ∇L and Hv are those of one whole batch."""
    build, images, targets = convolutional
    risk = Risk(build(), KullbackLeibler())
    vector = np.random.default_rng(8).normal(size=risk.num_params)
    whole = batches_of(images, targets, [NUM_EXAMPLES])
    order = np.random.default_rng(9).permutation(NUM_EXAMPLES)
    cut = batches_of(images[order], targets[order], sizes)
    expected = risk.gradient(whole), risk.hessian_vector_product(whole, vector)
    for batches in (cut, cut + whole):
        np.testing.assert_allclose(risk.gradient(batches), expected[0], atol=1e-14)
        found = risk.hessian_vector_product(batches, vector)
        np.testing.assert_allclose(found, expected[1], atol=1e-13)
    weighted = sum(len(each[0]) * risk.hessian_vector_product([each], vector) for each in cut)
    np.testing.assert_allclose(weighted / NUM_EXAMPLES, expected[1], atol=1e-13)


def test_a_shift_of_the_outputs_is_a_null_direction(convolutional):
    """The same vector added to every output's weights and bias changes nothing: gᵀv = 0, Hv = 0."""
    build, images, targets = convolutional
    model = build()
    risk, batches = Risk(model, KullbackLeibler()), batches_of(images, targets, [6, 8])
    pieces = []
    generator = np.random.default_rng(10)
    for variable in model.trainable_variables:
        is_output = variable.path.startswith("outputs")
        shift = generator.normal(size=(*variable.shape[:-1], 1)) * is_output
        pieces.append(np.broadcast_to(shift, variable.shape).ravel())
    direction = np.concatenate(pieces)
    assert np.linalg.norm(direction) > 1
    assert abs(risk.gradient(batches) @ direction) < 1e-13
    np.testing.assert_allclose(risk.hessian_vector_product(batches, direction), 0, atol=1e-13)


def test_homogeneity_with_frozen_batch_norm(convolutional):
    """⟨γ, g_γ⟩ + ⟨β, g_β⟩ = ⟨W₂, g_W₂⟩ behind a rectifier, for every example."""
    build, images, targets = convolutional
    model = build()
    risk = Risk(model, KullbackLeibler())
    products = {}
    for single in batches_of(images, targets, [1] * NUM_EXAMPLES):
        pieces = risk.split_by_param(risk.gradient([single]))
        params = risk.split_by_param(risk.params())
        for variable, gradient, value in zip(
            model.trainable_variables, pieces, params, strict=True
        ):
            products[variable.path] = gradient @ value
        of_norm = products["norm/gamma"] + products["norm/beta"]
        assert of_norm == pytest.approx(products["second/kernel"], rel=1e-10, abs=1e-14)
        assert abs(of_norm) > 1e-6


def test_products_are_symmetric_linear_and_derivatives(convolutional):
    """uᵀHv = vᵀHu; H(2u - 3v) = 2Hu - 3Hv; Hv is the difference quotient of ∇L, of order h²."""
    build, images, targets = convolutional
    model = build("tanh")
    risk, batches = Risk(model, KullbackLeibler()), batches_of(images, targets, [6, 8])
    u, v = np.random.default_rng(12).normal(size=(2, risk.num_params))
    Hu, Hv, both = (risk.hessian_vector_product(batches, each) for each in (u, v, 2 * u - 3 * v))
    assert u @ Hv == pytest.approx(v @ Hu, rel=1e-10)
    np.testing.assert_allclose(both, 2 * Hu - 3 * Hv, atol=1e-12)
    params, errors = risk.params(), []
    for step in (1e-3, 5e-4):
        ends = []
        for sign in (1, -1):
            assign(model, params + sign * step * v)
            ends.append(risk.gradient(batches))
        errors.append(np.linalg.norm((ends[0] - ends[1]) / (2 * step) - Hv))
    assert errors[1] < 1e-4 * np.linalg.norm(Hv)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
