"""The perceptron: closed form, and the linear model as its smallest case."""

from __future__ import annotations

import numpy as np

from workers.models.mlp import MLPSpec, build


def test_no_hidden_layer_gives_a_linear_model():
    """Outputs are xᵀW + b on the flattened input."""
    model = build(MLPSpec(), (2, 3), 4, 0)
    kernel, bias = (weight.numpy() for weight in model.weights)
    assert kernel.shape == (6, 4)
    inputs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(model(inputs), inputs.reshape(5, 6) @ kernel + bias, rtol=1e-5)


def test_hidden_layers_are_relu_layers_in_order():
    """Outputs are W₁ relu(W₀x + b₀) + b₁, with biases at zero."""
    model = build(MLPSpec(hidden_units=[7]), (3,), 2, 0)
    first, first_bias, last, _ = (weight.numpy() for weight in model.weights)
    assert (first_bias == 0).all()
    inputs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(model(inputs), np.maximum(inputs @ first, 0) @ last, rtol=1e-5)
    assert [layer.name for layer in model.layers] == ["inputs", "flatten", "hidden0", "outputs"]


def test_the_seed_alone_decides_the_initial_weights():
    """Equal seeds give equal bits; another seed gives other weights."""
    spec = MLPSpec(hidden_units=[3, 3])
    first, second, other = (build(spec, (3,), 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weights[0], second.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])
    assert not np.array_equal(first.weights[0], first.weights[2])
