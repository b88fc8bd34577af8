"""Digest and finiteness of weights."""

from __future__ import annotations

import hashlib

import numpy as np

from workers.models import mlp, resnet
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.weights import are_finite, digest_of_weights


def test_the_digest_is_of_path_names_and_values_in_order():
    """SHA-256 of name, zero byte, little-endian float32 values, for each weight in turn."""
    model = mlp.build(MLPSpec(), (2,), 1, 0)
    kernel, bias = (weight.numpy() for weight in model.weights)
    content = b"outputs/kernel\0" + kernel.astype("<f4").tobytes() + b"outputs/bias\0"
    content += bias.astype("<f4").tobytes()
    assert digest_of_weights(model) == hashlib.sha256(content).hexdigest()


def test_the_digest_covers_moving_averages():
    """Weights that no gradient reaches decide predictions too."""
    model = resnet.build(ResNetSpec(depth=8), (8, 8, 1), 3, 0)
    before = digest_of_weights(model)
    model.get_layer("stem_norm").moving_mean.assign(np.full(16, 1e-3, np.float32))
    assert digest_of_weights(model) != before


def test_one_nan_or_infinity_is_found():
    """In any weight."""
    model = mlp.build(MLPSpec(), (2,), 1, 0)
    assert are_finite(model)
    model.weights[1].assign([np.inf])
    assert not are_finite(model)
