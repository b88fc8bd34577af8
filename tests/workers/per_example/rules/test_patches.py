"""Patches against TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from workers.per_example.rules.patches import Axis, extract_patches


@pytest.mark.parametrize("is_padded", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 2, 3])
def test_patches_are_tensorflows(kernel_size, dilation, stride, is_padded):
    """`tf.image.extract_patches` lays out the same numbers, for even and odd sizes."""
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 8, 3)))
    axes = [Axis(size, kernel_size, stride, dilation, is_padded) for size in (7, 8)]
    expected = tf.image.extract_patches(
        images,
        [1, kernel_size, kernel_size, 1],
        [1, stride, stride, 1],
        [1, dilation, dilation, 1],
        "SAME" if is_padded else "VALID",
    )
    shape = (2, axes[0].num_outputs * axes[1].num_outputs, kernel_size**2 * 3)
    np.testing.assert_array_equal(
        extract_patches(images, *axes), np.reshape(expected.numpy(), shape)
    )
