"""Batch norm as one operation: against Keras' own layer, a closed form in float64, and what it must leave alone."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.specs import TrainingSpec
from workers.losses.kld import KullbackLeibler
from workers.models.resnet import ResNetSpec, build
from workers.network.precision import built_in
from workers.training.steps.fused_batch_norm import fused_batch_norms
from workers.training.steps.sgd_step import SGDStep

SHAPE = (6, 5, 4, 3)


def normalising(**options):
    """Make a network of one batch norm over images, its parameters and averages not at their start."""
    inputs = keras.Input(options.pop("shape", SHAPE[1:]))
    layer = options.pop("kind", keras.layers.BatchNormalization)(**options)
    model = keras.Model(inputs, layer(inputs))
    draw = np.random.default_rng(1)
    for place, variable in enumerate(layer.weights):
        variable.assign(draw.uniform(0.5, 2.0, variable.shape) + place)
    return model, layer


def run(model, images, cotangents, *, is_fused, training=True):
    """Return outputs, the gradients of ⟨outputs, cotangents⟩ and the weights afterwards."""
    x = tf.constant(images)
    with tf.GradientTape() as tape, fused_batch_norms(model) if is_fused else nullcontext():
        tape.watch(x)
        outputs = model(x, training=training)
        product = tf.reduce_sum(tf.cast(outputs, tf.float32) * cotangents)
    gradients = tape.gradient(product, [x, *model.trainable_variables])
    found = [outputs, *gradients, *model.weights]
    return [np.asarray(tf.cast(each, tf.float32)) for each in found]


def drawn(shape=SHAPE):
    draw = np.random.default_rng(0)
    return (
        (3 + 2 * draw.standard_normal(shape)).astype(np.float32),
        draw.standard_normal(shape).astype(np.float32),
    )


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"momentum": 0.5}])
def test_it_is_keras_own_layer_up_to_rounding(options):
    """Outputs, gradients in inputs, γ and β, and the moving averages."""
    images, cotangents = drawn()
    fused, own = (
        run(normalising(**options)[0], images, cotangents, is_fused=is_fused)
        for is_fused in (True, False)
    )
    for found, expected in zip(fused, own, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_it_is_the_closed_form():
    """In float64: y = γ(x - μ)/s + β, ∂x = γ/s (c - mean c - x̂ mean(c x̂)), averages of the uncorrected moments."""
    images, cotangents = drawn()
    model, layer = normalising(epsilon=1e-2, momentum=0.9)
    scale, offset, mean_before, variance_before = (np.float64(each) for each in layer.weights)
    x, c = np.float64(images), np.float64(cotangents)
    axes = (0, 1, 2)
    mean, variance = x.mean(axes), x.var(axes)
    deviation = np.sqrt(variance + 1e-2)
    unit = (x - mean) / deviation
    slope = scale / deviation * (c - c.mean(axes) - unit * (c * unit).mean(axes))
    expected = [
        scale * unit + offset, slope, (c * unit).sum(axes), c.sum(axes), scale, offset,
        0.9 * mean_before + 0.1 * mean, 0.9 * variance_before + 0.1 * variance,
    ]  # fmt: skip
    for found, known in zip(run(model, images, cotangents, is_fused=True), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-5, atol=1e-5)


def test_one_position_of_one_example_has_no_variance():
    """Uncorrected moments of one value: 0, and no division by 0."""
    model, layer = normalising(shape=(1, 1, 3), momentum=0.5)
    before = np.asarray(layer.moving_variance)
    images, cotangents = drawn((1, 1, 1, 3))
    outputs, *_, mean, variance = run(model, images, cotangents, is_fused=True)
    np.testing.assert_allclose(outputs[0, 0, 0], np.asarray(layer.beta), rtol=1e-6)
    np.testing.assert_allclose(variance, before / 2, rtol=1e-6)
    assert np.isfinite(mean).all()


def test_in_bfloat16_the_statistics_are_float32():
    """As in Keras' layer: outputs agree within the rounding of bfloat16 (8 bits), averages within float32's."""
    with built_in("mixed_bfloat16"):
        models = [normalising()[0] for _ in range(2)]
    images, cotangents = drawn()
    images = tf.cast(images, tf.bfloat16)
    fused, own = (
        run(model, images, cotangents, is_fused=is_fused)
        for model, is_fused in zip(models, (True, False), strict=True)
    )
    np.testing.assert_allclose(fused[0], own[0], rtol=2**-7, atol=2**-7)
    for found, expected in zip(fused[-2:], own[-2:], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


class Derived(keras.layers.BatchNormalization):
    """A user's own."""


@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({}, False),
        ({"trainable": False}, True),
        ({"axis": 1}, True),
        ({"shape": (7,)}, True),
        ({"kind": Derived}, True),
        ({"renorm": True}, True),
    ],
)
def test_whatever_else_keras_layer_does_stays(options, training):
    """To the bit: inference, frozen layers, other axes and ranks, derived classes, renormalisation."""
    shape = (6, *options.get("shape", SHAPE[1:]))
    images, cotangents = drawn(shape)
    fused, own = (
        run(normalising(**options)[0], images, cotangents, is_fused=is_fused, training=training)
        for is_fused in (True, False)
    )
    for found, expected in zip(fused, own, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_network_is_afterwards_as_before():
    """Also when tracing fails, and within nested networks."""
    inner, layer = normalising()
    inputs = keras.Input(SHAPE[1:])
    outer = keras.Model(inputs, inner(inputs))
    within = fused_batch_norms(outer)
    within.__enter__()
    assert "call" in vars(layer)
    assert within.__exit__(ZeroDivisionError, ZeroDivisionError(), None) is False
    assert "call" not in vars(layer)


def gradient_operations(model, *, in_training):
    """List the types of operations of one step's graph."""
    step = SGDStep(model, KullbackLeibler(), TrainingSpec(epochs=1), in_training=in_training)
    traced = tf.function(step.gradient, autograph=False).get_concrete_function(
        tf.TensorSpec([4, 8, 8, 3]), tf.TensorSpec([4, 10])
    )
    return [each.type for each in traced.graph.get_operations()]


def test_a_step_normalises_by_one_operation_a_layer():
    """Forward and back, of every batch norm of a ResNet-8; none with fixed statistics."""
    found = gradient_operations(build(ResNetSpec(depth=8), (8, 8, 3), 10, 0), in_training=True)
    assert (found.count("FusedBatchNormV3"), found.count("FusedBatchNormGradV3")) == (7, 7)
    fixed = gradient_operations(build(ResNetSpec(depth=8), (8, 8, 3), 10, 0), in_training=False)
    assert not any("BatchNorm" in each for each in fixed)


def test_losses_of_training_differ_by_rounding_alone(monkeypatch):
    """Fifteen steps of a ResNet-8 with Keras' own layers, and with these: the same losses to 1e-5, weights to 1e-4.

    Further on a rounding may turn a ReLU on or off, and then they differ by what it passes.
    """
    draw = np.random.default_rng(0)
    images = draw.standard_normal((40, 8, 8, 3)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[draw.integers(0, 10, 40)]

    def trained():
        model = build(ResNetSpec(depth=8), (8, 8, 3), 10, 0)
        step = SGDStep(model, KullbackLeibler(), TrainingSpec(epochs=1))

        @tf.function(autograph=False)
        def once():
            found = step.gradient(images, targets)
            step.update(found.directions, tf.constant(0.02))
            return tf.reduce_mean(found.losses)

        losses = [float(once()) for _ in range(15)]
        return losses, [np.asarray(each) for each in model.weights]

    losses, weights = trained()
    monkeypatch.setattr(
        "workers.training.steps.sgd_step.fused_batch_norms", lambda model: nullcontext()
    )
    own_losses, own_weights = trained()
    assert losses[-1] < losses[0] / 2
    assert losses != own_losses  # other roundings: two ways were taken
    np.testing.assert_allclose(losses, own_losses, rtol=1e-5)
    for found, expected in zip(weights, own_weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
