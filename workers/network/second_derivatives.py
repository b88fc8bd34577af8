"""Means and variances whose second derivatives are right, for Keras' normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def right_second_derivatives() -> Iterator[None]:
    """Trace layers that normalise by their inputs' own moments so that Hessian-vector products are right.

    `tf.nn.moments`, on which batch, layer and group normalisation rest, takes the mean in the
    variance (1/n) Σ (x_i - mean)² for a constant. The first derivative is right none the less, as
    Σ (x_i - mean) = 0; the second, 2/n (δ_ij - 1/n), loses its -2/n². For as long as the context
    lasts the mean is what it is. What is traced in it stays right afterwards.
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
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    if keepdims:
        return mean, variance
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)
