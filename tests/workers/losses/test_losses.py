"""Losses: values against closed forms and Keras, Hessians in the outputs against autodiff."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import CATALOG, resolve

LOSSES = sorted(CATALOG["loss"])


def make_loss(name):
    return resolve("loss", name)()


def random_outputs(dtype=np.float64, num_examples=6, num_classes=4):
    generator = np.random.default_rng(3)
    outputs = generator.normal(size=(num_examples, num_classes)) * 2
    soft = generator.dirichlet(np.ones(num_classes), size=num_examples)
    soft[0] = np.eye(num_classes)[1]  # one of them one-hot
    return tf.constant(outputs, dtype), tf.constant(soft, dtype)


def test_kld_of_one_hot_targets_is_cross_entropy():
    """ℓ = -log p_c, in closed form."""
    outputs = tf.constant([[0.0, np.log(3.0)]], tf.float64)
    value = make_loss("kld").per_example(outputs, tf.constant([[1.0, 0.0]], tf.float64))
    np.testing.assert_allclose(value, [np.log(4.0)], rtol=1e-14)


def test_kld_agrees_with_keras_where_probabilities_are_not_clipped():
    """Keras clips targets and probabilities at 1e-7, which moves ten classes by less than 2e-5."""
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(200, 10)).astype(np.float32) * 1.5
    probabilities = tf.nn.softmax(outputs)
    assert float(tf.reduce_min(probabilities)) > 1e-6
    targets = np.eye(10, dtype=np.float32)[generator.integers(0, 10, 200)]
    theirs = keras.losses.kl_divergence(targets, probabilities)
    np.testing.assert_allclose(
        make_loss("kld").per_example(outputs, targets), theirs, atol=2e-5, rtol=0
    )


def test_kld_does_not_lose_its_gradient_far_out():
    """At p_c = e⁻⁴⁰ the loss is 40 and its gradient in z_c is -1, where a clipped loss gives 0."""
    outputs = tf.Variable([[0.0, 40.0]])
    with tf.GradientTape() as tape:
        value = make_loss("kld").per_example(outputs, [[1.0, 0.0]])
    np.testing.assert_allclose(value, [40.0], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(value, outputs), [[-1.0, 1.0]], rtol=1e-6)


def test_kld_of_soft_targets_vanishes_where_they_agree():
    """Σ y log(y/p) = 0 at p = y."""
    targets = tf.constant([[0.2, 0.3, 0.5]], tf.float64)
    value = make_loss("kld").per_example(tf.math.log(targets), targets)
    np.testing.assert_allclose(value, [0.0], atol=1e-15)


def test_gradlog_losses_are_functions_of_the_label_probability():
    """With one-hot y: Σ|y-p| = 2(1-p_c), and ‖y-p‖² = (1-p_c)² + Σ_{k≠c} p_k²."""
    outputs, _ = random_outputs()
    targets = tf.constant(np.eye(4)[[0, 1, 2, 3, 0, 1]])
    p = tf.nn.softmax(outputs).numpy()
    label = (p * targets.numpy()).sum(axis=1)
    np.testing.assert_allclose(
        make_loss("gradlog_l1").per_example(outputs, targets), 2 * (1 - label), rtol=1e-12
    )
    np.testing.assert_allclose(
        make_loss("gradlog_l2").per_example(outputs, targets),
        (1 - label) ** 2 + (p**2).sum(axis=1) - label**2,
        rtol=1e-12,
    )


def test_squared_error_is_half_the_squared_distance():
    """½‖z-y‖² on raw outputs."""
    value = make_loss("squared_error").per_example(tf.constant([[3.0, 4.0]]), [[0.0, 0.0]])
    np.testing.assert_allclose(value, [12.5])


@pytest.mark.parametrize("name", LOSSES)
def test_output_hessian_is_the_second_derivative(name):
    """The closed form equals reverse-over-reverse autodiff in float64 to rounding."""
    outputs, targets = random_outputs()
    loss = make_loss(name)
    with tf.GradientTape() as outer:
        outer.watch(outputs)
        with tf.GradientTape() as inner:
            inner.watch(outputs)
            total = tf.reduce_sum(loss.per_example(outputs, targets))
        gradient = inner.gradient(total, outputs)
    dense = outer.batch_jacobian(gradient, outputs)
    np.testing.assert_allclose(loss.output_hessian(outputs, targets), dense, atol=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_convexity_is_told_truly(name):
    """A is positive semi-definite for every example exactly where the loss says so."""
    outputs, targets = random_outputs()
    eigenvalues = np.linalg.eigvalsh(make_loss(name).output_hessian(outputs, targets).numpy())
    assert bool((eigenvalues > -1e-12).all()) is make_loss(name).is_convex_in_outputs


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_keep_the_type_of_the_outputs(name, dtype):
    """Targets stored as float32 serve float64 outputs as well."""
    outputs, targets = random_outputs(dtype)
    targets = tf.cast(targets, tf.float32)
    loss = make_loss(name)
    assert loss.per_example(outputs, targets).dtype == dtype
    assert loss.per_example(outputs, targets).shape == (6,)
    assert loss.output_hessian(outputs, targets).dtype == dtype
    assert loss.output_hessian(outputs, targets).shape == (6, 4, 4)
