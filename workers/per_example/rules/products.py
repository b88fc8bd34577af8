"""A convolution's kernel gradient of every example: its norms, its total, its inner products.

G = Σ_t P_t δ_tᵀ [d, outputs], with T patches P_t [d] of the input and a cotangent δ_t [outputs] at each;
d = kernel pixels · inputs; K cotangents. Two ways to the same numbers, up to rounding:

- `Instantiated`: one matrix product an example makes G; it is squared, summed and dropped.
- `Gram` never makes it: ‖G‖² = ⟨P Pᵀ, δ δᵀ⟩ takes T² numbers where G has d · outputs (the "ghost norm",
  Bu, Mao, Xu 2022, 2205.10683).
"""

from __future__ import annotations

from typing import Protocol, final

import keras
import tensorflow as tf

from workers.per_example.rules.patches import axes_of, extract_patches


class Products(Protocol):
    """G of each example and cotangent, as far as it is asked for."""

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """Give ‖s G‖² [B, K], each output scaled by s [outputs]."""
        ...

    def total(self) -> tf.Tensor:
        """Give Σ_b G for the first cotangent, in the kernel's shape."""
        ...

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """Give ⟨W, G⟩ within each output [B, K, outputs], for W in the kernel's shape."""
        ...


def choose_products(
    layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
) -> Products:
    """Take the way that holds fewer numbers; it is the faster one too.

    In ResNet-56, with K = 2 on one CPU thread, that is G at 32² and 16² places and Gram matrices at
    8², where they take half the time.

    Args:
        layer: Of one group of channels, channels last.
        inputs: x [B, H, W, C].
        cotangents: K × δ [B, H', W', outputs].
    """
    num_places = cotangents[0].shape[1] * cotangents[0].shape[2]
    num_values, num_cotangents = layer.kernel.shape.num_elements(), len(cotangents)
    has_few_places = (1 + num_cotangents) * num_places**2 < num_cotangents * num_values
    return (Gram if has_few_places else Instantiated)(layer, inputs, cotangents)


@final
class Instantiated:
    """G [B, K, outputs, d] by one matrix product for all cotangents of an example."""

    def __init__(
        self, layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
    ) -> None:
        patches = extract_patches(inputs, *axes_of(layer))
        stacked = _at_places(tf.concat(cotangents, axis=-1))
        products = tf.matmul(stacked, patches, transpose_a=True)
        shape = [-1, len(cotangents), layer.filters, patches.shape[-1]]
        self._kernel_shape = layer.kernel.shape
        self._G = tf.reshape(products, shape)

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """As in `Products`."""
        of_outputs = tf.reduce_sum(tf.square(self._G), axis=3)
        return tf.reduce_sum(of_outputs * tf.square(scale), axis=2)

    def total(self) -> tf.Tensor:
        """As in `Products`; a product with ones is faster than a slice and a sum."""
        num_examples, shape = tf.shape(self._G)[0], self._G.shape[1:]
        rows = tf.reshape(self._G, [num_examples, shape.num_elements()])
        totals = tf.matmul(tf.ones([1, num_examples], rows.dtype), rows)
        return tf.reshape(tf.transpose(tf.reshape(totals, shape)[0]), self._kernel_shape)

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """As in `Products`."""
        rows = tf.transpose(tf.reshape(kernel, [-1, kernel.shape[-1]]))
        return tf.reduce_sum(self._G * rows, axis=3)


@final
class Gram:
    """Inner products between the places of an example, and whole convolutions, stand in for G."""

    def __init__(
        self, layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]
    ) -> None:
        self._layer, self._inputs, self._cotangents = layer, inputs, cotangents

    def squared_norms(self, scale: tf.Tensor) -> tf.Tensor:
        """As in `Products`."""
        patches = extract_patches(self._inputs, *axes_of(self._layer))
        of_patches = tf.matmul(patches, patches, transpose_b=True)
        scaled = [_at_places(each * scale) for each in self._cotangents]
        of_cotangents = [tf.matmul(each, each, transpose_b=True) for each in scaled]
        products = [tf.reduce_sum(of_patches * each, axis=[1, 2]) for each in of_cotangents]
        return tf.stack(products, axis=1)

    def total(self) -> tf.Tensor:
        """As in `Products`: what a batch's kernel gradient always is."""
        kernel = tf.zeros(self._layer.kernel.shape, self._inputs.dtype)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            outputs = self._layer.convolution_op(self._inputs, kernel)
        return tape.gradient(outputs, kernel, output_gradients=self._cotangents[0])

    def inner_products(self, kernel: tf.Tensor) -> tf.Tensor:
        """As in `Products`: Σ_t δ_t · (P_t W)."""
        outputs = self._layer.convolution_op(self._inputs, kernel)
        products = [tf.reduce_sum(each * outputs, axis=[1, 2]) for each in self._cotangents]
        return tf.stack(products, axis=1)


def kernel_gradients(
    layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangent: tf.Tensor
) -> tf.Tensor:
    """Give G [B, d, outputs] of one cotangent δ [B, H', W', outputs], for whom needs the vectors."""
    patches = extract_patches(inputs, *axes_of(layer))
    return tf.matmul(patches, _at_places(cotangent), transpose_a=True)


def _at_places(values: tf.Tensor) -> tf.Tensor:
    """Lay out [B, H, W, C] as [B, places, C]."""
    _, height, width, num_channels = values.shape
    return tf.reshape(values, [-1, height * width, num_channels])
