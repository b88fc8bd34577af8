"""Convolutions, alone or with the frozen batch norm behind them folded in.

With δ_t the cotangent at place t of the output and P_t the patch under it, an example's gradient is
G = Σ_t P_t δ_tᵀ, [kernel pixels · inputs, outputs]: one matrix product for each example, made for all
cotangents at once, squared, summed and dropped.

A frozen batch norm y = γ ρ (z - m) + β, ρ = (v + ε)^(-1/2), of a convolution z = W*x + b is the
convolution with kernel sW and bias s(b - m) + β, s = γρ. From its gradient G and d = Σ_t δ_t:
∂W = s G, ∂b = s d, ∂β = d, ∂γ = ρ (⟨W, G⟩ + (b - m) d), the inner product within each output. The
network then passes over each activation once where it would have passed three times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.per_example.patches import axes_of, extract_patches
from workers.per_example.rule import Gradient, Parameter, parameter


@dataclass(frozen=True)
class _Sums:
    """What both rules need of one batch: G [B, K, outputs, kernel pixels · inputs], d [B, K, outputs]."""

    G: tf.Tensor
    d: tf.Tensor


@dataclass(frozen=True)
class ConvolutionRule:
    """z = W*x + b: ∂/∂W = G, ∂/∂b = d."""

    layer: keras.layers.Conv2D

    @property
    def output_layer(self) -> str:
        """Name of the layer whose outputs' cotangents are meant."""
        return str(self.layer.name)

    @cached_property
    def parameters(self) -> list[Parameter]:
        """W [height, width, inputs, outputs], then b [outputs]."""
        kernel = parameter(self.layer, self.layer.kernel, has_decay=True)
        return [kernel, parameter(self.layer, self.layer.bias)] if self.layer.use_bias else [kernel]

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give the gradients of W and b from x [B, H, W, C] and K × δ [B, H', W', outputs]."""
        sums = _sums(self.layer, inputs, cotangents)
        per_output = tf.reduce_sum(tf.square(sums.G), axis=3)
        total = _in_kernel_shape(tf.reduce_sum(sums.G[:, 0], axis=0), self.layer)
        kernel = Gradient(tf.reduce_sum(per_output, axis=2), total)
        return [kernel, _of_vector(sums.d)] if self.layer.use_bias else [kernel]


@dataclass(frozen=True)
class NormalisedConvolutionRule:
    """A convolution and the frozen batch norm that alone reads it, as one convolution."""

    layer: keras.layers.Conv2D
    norm: keras.layers.BatchNormalization

    @property
    def output_layer(self) -> str:
        """The convolution stands for both."""
        return str(self.layer.name)

    @cached_property
    def parameters(self) -> list[Parameter]:
        """W, b, γ, β, as far as the layers have them."""
        found = [parameter(self.layer, self.layer.kernel, has_decay=True)]
        if self.layer.use_bias:
            found.append(parameter(self.layer, self.layer.bias))
        variables = (self.norm.gamma, self.norm.beta)
        return found + [parameter(self.norm, each) for each in variables if each is not None]

    def folded_weights(self) -> list[npt.NDArray[np.float64]]:
        """Give sW and s(b - m) + β of the one convolution."""
        scale, _, shift = self._constants
        beta = 0.0 if self.norm.beta is None else _float64(self.norm.beta)
        return [_float64(self.layer.kernel) * scale, scale * shift + beta]

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give the gradients of W, b, γ, β from x and K × the cotangent of the batch norm's output."""
        sums = _sums(self.layer, inputs, cotangents)
        scale, deviation, shift = (tf.constant(each, inputs.dtype) for each in self._constants)
        per_output = tf.reduce_sum(tf.square(sums.G), axis=3)
        total = _in_kernel_shape(tf.reduce_sum(sums.G[:, 0], axis=0), self.layer) * scale
        found = [Gradient(tf.reduce_sum(per_output * tf.square(scale), axis=2), total)]
        if self.layer.use_bias:
            found.append(_of_vector(sums.d * scale))
        if self.norm.gamma is not None:
            inner = tf.reduce_sum(sums.G * _in_rows(self.layer), axis=3)
            found.append(_of_vector((inner + shift * sums.d) * deviation))
        if self.norm.beta is not None:
            found.append(_of_vector(sums.d))
        return found

    @cached_property
    def _constants(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Give s = γρ, ρ and b - m, each [outputs]."""
        norm = self.norm
        inverse_deviation = 1 / np.sqrt(_float64(norm.moving_variance) + norm.epsilon)
        gamma = 1.0 if norm.gamma is None else _float64(norm.gamma)
        bias = _float64(self.layer.bias) if self.layer.use_bias else 0.0
        return gamma * inverse_deviation, inverse_deviation, bias - _float64(norm.moving_mean)


def _sums(layer: keras.layers.Conv2D, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> _Sums:
    patches = extract_patches(inputs, *axes_of(layer))
    num_places, num_values = patches.shape[1:]
    stacked = tf.concat(cotangents, axis=-1)
    stacked = tf.reshape(stacked, [-1, num_places, stacked.shape[-1]])
    shape = [-1, len(cotangents), layer.filters]
    products = tf.matmul(stacked, patches, transpose_a=True)
    return _Sums(
        G=tf.reshape(products, [*shape, num_values]),
        d=tf.reshape(tf.reduce_sum(stacked, axis=1), shape),
    )


def _of_vector(per_example: tf.Tensor) -> Gradient:
    """Make the gradient of a vector parameter from its values [B, K, outputs]."""
    squared_norms = tf.reduce_sum(tf.square(per_example), axis=2)
    return Gradient(squared_norms, tf.reduce_sum(per_example[:, 0], axis=0))


def _in_kernel_shape(rows: tf.Tensor, layer: keras.layers.Conv2D) -> tf.Tensor:
    return tf.reshape(tf.transpose(rows), layer.kernel.shape)


def _in_rows(layer: keras.layers.Conv2D) -> tf.Tensor:
    """Give W as the rows of G are: [outputs, kernel pixels · inputs]."""
    return tf.transpose(tf.reshape(layer.kernel.value, [-1, layer.filters]))


def _float64(variable: keras.Variable) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = variable.value.numpy().astype(np.float64)
    return values
