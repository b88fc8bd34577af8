"""A convolution's kernel gradient for every example: its norms, its total, its inner products.

G = Σ_t P_t δ_tᵀ [d, outputs], with T patches P_t [d] of the input and a cotangent δ_t [outputs] at each;
d = kernel pixels · inputs; K cotangents. Two algorithms for the same numbers, up to rounding:

- `Instantiated` computes G by one matrix product per example, and squares and sums it. - `Gram`
never computes it: ‖G‖² = ⟨P Pᵀ, δ δᵀ⟩ takes T² numbers where G has d · outputs (the "ghost norm",
  Bu, Mao, Xu 2022, 2205.10683).
"""

from __future__ import annotations

from typing import Protocol, final

import keras
import tensorflow as tf

from workers.per_example.rules.patches import axes_of, extract_patches


class Products(Protocol):
    """G of each example and cotangent, through what is needed of it."""

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """Return ‖s G‖² [B, K], each output scaled by s [outputs]."""
        ...

    def total(self) -> tf.Tensor:
        """Return Σ_b G of the first cotangent, [height, width, inputs, outputs] as the kernel."""
        ...

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return ⟨W, G⟩ within each output [B, K, outputs], for W in the kernel's shape."""
        ...


def choose_products(
    layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
) -> Products:
    """Choose the algorithm that holds fewer numbers, which is also the faster one.

    In ResNet-56, with K = 2 on one CPU thread, that is G at 32² and 16² positions and Gram matrices
    at 8², where they take half the time.

    Args:
        layer: With one group of channels, channels last.
        inputs: x [B, H, W, C].
        cotangents: K × δ [B, H', W', outputs].
    """
    num_positions = cotangents[0].shape[1] * cotangents[0].shape[2]
    num_values, num_cotangents = layer.kernel.shape.num_elements(), len(cotangents)
    has_few_positions = (1 + num_cotangents) * num_positions**2 < num_cotangents * num_values
    return (Gram if has_few_positions else Instantiated)(layer, inputs, cotangents)


@final
class Instantiated:
    """G [B, K, outputs, d] by one matrix product for all cotangents of an example."""

    def __init__(
        self, layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
    ) -> None:
        """Compute G from x [B, H, W, C] and K × δ [B, H', W', outputs]."""
        patches = extract_patches(inputs, *axes_of(layer))
        stacked = _by_position(tf.concat(cotangents, axis=-1))
        products = tf.matmul(stacked, patches, transpose_a=True)
        shape = [-1, len(cotangents), layer.filters, patches.shape[-1]]
        self._kernel_shape = layer.kernel.shape
        self._G = tf.reshape(products, shape)

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """Return ‖s G‖² [B, K], each output scaled by s [outputs]."""
        of_outputs = tf.reduce_sum(tf.square(self._G), axis=3)
        return tf.reduce_sum(of_outputs * tf.square(scale), axis=2)

    def total(self) -> tf.Tensor:
        """Return Σ_b G [height, width, inputs, outputs]; a product with ones beats a sum."""
        num_examples, shape = tf.shape(self._G)[0], self._G.shape[1:]
        rows = tf.reshape(self._G, [num_examples, shape.num_elements()])
        totals = tf.matmul(tf.ones([1, num_examples], rows.dtype), rows)
        return tf.reshape(tf.transpose(tf.reshape(totals, shape)[0]), self._kernel_shape)

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return ⟨W, G⟩ within each output [B, K, outputs], for W in the kernel's shape."""
        rows = tf.transpose(tf.reshape(kernel, [-1, kernel.shape[-1]]))
        return tf.reduce_sum(self._G * rows, axis=3)


@final
class Gram:
    """G through inner products between an example's positions, and through whole convolutions."""

    def __init__(
        self, layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
    ) -> None:
        """Keep x [B, H, W, C] and K × δ [B, H', W', outputs]."""
        self._layer, self._inputs, self._cotangents = layer, inputs, cotangents

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """Return ‖s G‖² [B, K], each output scaled by s [outputs]."""
        patches = extract_patches(self._inputs, *axes_of(self._layer))
        of_patches = tf.matmul(patches, patches, transpose_b=True)
        scaled = [_by_position(each * scale) for each in self._cotangents]
        of_cotangents = [tf.matmul(each, each, transpose_b=True) for each in scaled]
        products = [tf.reduce_sum(of_patches * each, axis=[1, 2]) for each in of_cotangents]
        return tf.stack(products, axis=1)

    def total(self) -> tf.Tensor:
        """Return Σ_b G [height, width, inputs, outputs], a batch's ordinary kernel gradient."""
        kernel = tf.zeros(self._layer.kernel.shape, self._inputs.dtype)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            outputs = self._layer.convolution_op(self._inputs, kernel)
        return tape.gradient(outputs, kernel, output_gradients=self._cotangents[0])

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return ⟨W, G⟩ = Σ_t δ_t · (P_t W) within each output [B, K, outputs]."""
        outputs = self._layer.convolution_op(self._inputs, kernel)
        products = [tf.reduce_sum(each * outputs, axis=[1, 2]) for each in self._cotangents]
        return tf.stack(products, axis=1)


def kernel_gradients(
    layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangent: tf.Tensor
) -> tf.Tensor:
    """Return G [B, d, outputs] itself, for one cotangent δ [B, H', W', outputs]."""
    patches = extract_patches(inputs, *axes_of(layer))
    return tf.matmul(patches, _by_position(cotangent), transpose_a=True)


def _by_position(values: tf.Tensor) -> tf.Tensor:
    """Reshape [B, H, W, C] to [B, positions, C]."""
    _, height, width, num_channels = values.shape
    return tf.reshape(values, [-1, height * width, num_channels])
