"""Means and variances with correct second derivatives, for Keras' normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def right_second_derivatives() -> Iterator[None]:
    """Trace layers that normalise by their inputs' moments with correct second derivatives.

    `tf.nn.moments`, on which batch, layer and group normalisation rest, treats the mean in the
    variance (1/n) Σ (x_i - mean)² as a constant. The first derivative is correct nevertheless, as Σ
    (x_i - mean) = 0; the second, 2/n (δ_ij - 1/n), loses its -2/n². Within the context the mean is
    differentiated too. What is traced in it stays correct afterwards.
    """
    before = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = before


def _moments(
    x: tf.Tensor,
    axes: Sequence[int],
    shift: None = None,  # noqa: ARG001 - not used by TensorFlow either
    keepdims: bool = False,  # noqa: FBT001, FBT002 - TensorFlow's signature
    name: str | None = None,  # noqa: ARG001 - as above
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and uncorrected variance of x [...] over the axes, of size 1 with `keepdims`."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    if keepdims:
        return mean, variance
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)
