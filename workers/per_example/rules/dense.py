"""Dense layers: the gradient of the kernel is an outer product, whose norm needs no product."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from workers.per_example.rules.rule import Gradient, kernel_and_bias


@dataclass(frozen=True)
class DenseRule:
    """z = Wᵀx + b of one vector per example: ∂/∂W = x δᵀ, so ‖∂/∂W‖² = ‖x‖² ‖δ‖²; ∂/∂b = δ.

    Source: Goodfellow (2015), 1510.01799.
    """

    layer: keras.layers.Dense

    @property
    def output_layer(self) -> str:
        """Name of the layer whose outputs the cotangents belong to."""
        return str(self.layer.name)

    @property
    def variables(self) -> list[keras.Variable]:
        """W [inputs, outputs], then b [outputs]."""
        return kernel_and_bias(self.layer)

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Return the gradients of W and b from x [B, inputs] and K × δ [B, outputs]."""
        stacked = tf.stack(cotangents, axis=1)
        of_bias = tf.reduce_sum(tf.square(stacked), axis=2)
        of_kernel = tf.reduce_sum(tf.square(inputs), axis=1, keepdims=True) * of_bias
        first = cotangents[0]
        kernel = Gradient(of_kernel, tf.matmul(inputs, first, transpose_a=True))
        bias = Gradient(of_bias, tf.reduce_sum(first, axis=0))
        return [kernel, bias] if self.layer.use_bias else [kernel]

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Return x δᵀ [B, inputs, outputs] and δ [B, outputs]."""
        kernel = inputs[:, :, None] * cotangent[:, None, :]
        return [kernel, cotangent] if self.layer.use_bias else [kernel]
