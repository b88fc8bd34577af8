"""Batch norm in training mode as one operation of TensorFlow's, forward and back.

Keras takes moments, differences and products one by one, each through the whole of the activations: in a
ResNet's step on a processor they took as long as the convolutions. Values are those of Keras' layer up to
rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import keras
import tensorflow as tf

_TYPES = frozenset({tf.float32, tf.bfloat16})
"""Of inputs; statistics are float32 in both."""


@contextmanager
def fused_batch_norms(model: keras.Model) -> Iterator[None]:
    """Within the context, call the batch norms of a network as one operation each where that is possible.

    It is for images [B, height, width, channels] normalised over their last axis by the statistics of the
    batch. Whatever else Keras' layer does (other axes and ranks, masks, renormalisation, inference), and what a
    class derived from it does, stays. What is traced within stays so afterwards. For first derivatives.
    """
    layers = [each for each in model._flatten_layers() if _is_plain(each)]
    for layer in layers:
        layer.call = partial(_call, layer)  # before the method of its class
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _is_plain(layer: keras.Layer) -> bool:
    is_keras_own = type(layer) is keras.layers.BatchNormalization
    return is_keras_own and not layer.renorm and not layer.synchronized


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,  # noqa: FBT001 - Keras' signature
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Normalise x [B, …, channels] as the layer's own method does, and move its moving statistics."""
    is_of_images = inputs.shape.rank == 4 and layer.axis in (-1, 3) and inputs.dtype in _TYPES
    if not (training and layer.trainable and is_of_images and mask is None):
        return type(layer).call(layer, inputs, training=training, mask=mask)
    num_channels = inputs.shape[-1]
    scale = tf.ones([num_channels]) if layer.gamma is None else layer.gamma.value
    offset = tf.zeros([num_channels]) if layer.beta is None else layer.beta.value
    nothing = tf.zeros([0])
    found = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=nothing,
        variance=nothing,
        epsilon=layer.epsilon,
        is_training=True,
    )
    num_values = tf.cast(tf.size(inputs) // num_channels, tf.float32)
    uncorrected = found.batch_variance * ((num_values - 1) / num_values)  # as Keras keeps it
    _move(layer.moving_mean, found.batch_mean, layer.momentum)
    _move(layer.moving_variance, uncorrected, layer.momentum)
    return found.y


def _move(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    """Move a moving average [channels] towards the value of a batch."""
    average.assign(average * momentum + value * (1.0 - momentum))
