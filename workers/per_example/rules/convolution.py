"""Convolutions, alone or with the frozen batch norm behind them folded in.

With δ_t the cotangent at position t of the output and P_t the patch under it, an example's gradient
is G = Σ_t P_t δ_tᵀ, [kernel pixels · inputs, outputs]; see `products` for its norm.

A frozen batch norm y = γ ρ (z - m) + β, ρ = (v + ε)^(-1/2), of a convolution z = W*x + b is the
convolution with kernel sW and bias s(b - m) + β, s = γρ. From its gradient G and d = Σ_t δ_t:
∂W = s G, ∂b = s d, ∂β = d, ∂γ = ρ (⟨W, G⟩ + (b - m) d), the inner product within each output. The
network then passes over each activation once instead of three times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from workers.per_example.rules.products import choose_products, kernel_gradients
from workers.per_example.rules.rule import Gradient, kernel_and_bias


@dataclass(frozen=True)
class ConvolutionRule:
    """z = W*x + b: ∂/∂W = G, ∂/∂b = d."""

    layer: keras.layers.Conv2D

    @property
    def output_layer(self) -> str:
        """Name of the layer whose outputs the cotangents belong to."""
        return str(self.layer.name)

    @property
    def variables(self) -> list[keras.Variable]:
        """W [height, width, inputs, outputs], then b [outputs]."""
        return kernel_and_bias(self.layer)

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Return the gradients of W and b from x [B, H, W, C] and K × δ [B, H', W', outputs]."""
        products = choose_products(self.layer, inputs, cotangents)
        norms = products.squared_norms(tf.ones([self.layer.filters], inputs.dtype))
        kernel = Gradient(norms, products.total())
        return [kernel, _of_vector(_sums(cotangents))] if self.layer.use_bias else [kernel]

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Return G [B, kernel pixels · inputs, outputs] and d [B, outputs]."""
        kernel = kernel_gradients(self.layer, inputs, cotangent)
        return [kernel, _sums([cotangent])[:, 0]] if self.layer.use_bias else [kernel]


@dataclass(frozen=True)
class NormalisedConvolutionRule:
    """A convolution and the frozen batch norm that is its only reader, as one convolution."""

    layer: keras.layers.Conv2D
    norm: keras.layers.BatchNormalization

    @property
    def output_layer(self) -> str:
        """Name of the convolution, which stands for both layers."""
        return str(self.layer.name)

    @property
    def variables(self) -> list[keras.Variable]:
        """W [height, width, inputs, outputs], b, γ, β [outputs], where the layers have them."""
        bias = self.layer.bias if self.layer.use_bias else None
        found = (self.layer.kernel, bias, self.norm.gamma, self.norm.beta)
        return [each for each in found if each is not None]

    def fold(self) -> list[npt.NDArray[np.float64]]:
        """Take the layers' present weights, and return those of the convolution that stands for both.

        They are sW [height, width, inputs, outputs] and s(b - m) + β [outputs].
        """
        norm = self.norm
        deviation = 1 / np.sqrt(_float64(norm.moving_variance) + norm.epsilon)
        gamma = 1.0 if norm.gamma is None else _float64(norm.gamma)
        beta = 0.0 if norm.beta is None else _float64(norm.beta)
        bias = _float64(self.layer.bias) if self.layer.use_bias else 0.0
        scale, shift = gamma * deviation, bias - _float64(norm.moving_mean)
        for held, values in zip(self._held, (scale, deviation, shift), strict=True):
            held.assign(values)
        return [_float64(self.layer.kernel) * scale, scale * shift + beta]

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Return the gradients of W, b, γ, β from x [B, H, W, C] and K × δ [B, H', W', outputs].

        δ are cotangents of the batch norm's output.
        """
        scale, deviation, shift = (tf.cast(each, inputs.dtype) for each in self._held)
        products = choose_products(self.layer, inputs, cotangents)
        found = [Gradient(products.squared_norms(scale), products.total() * scale)]
        d = _sums(cotangents)
        if self.layer.use_bias:
            found.append(_of_vector(d * scale))
        if self.norm.gamma is not None:
            inner = products.inner_products(self.layer.kernel.value)
            found.append(_of_vector((inner + shift * d) * deviation))
        if self.norm.beta is not None:
            found.append(_of_vector(d))
        return found

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradients of W, b, γ, β, each [B, …], from a cotangent of the batch norm."""
        scale, deviation, shift = (tf.cast(each, inputs.dtype) for each in self._held)
        products = kernel_gradients(self.layer, inputs, cotangent)
        found = [products * scale]
        d = _sums([cotangent])[:, 0]
        if self.layer.use_bias:
            found.append(d * scale)
        if self.norm.gamma is not None:
            kernel = tf.reshape(self.layer.kernel.value, products.shape[1:])
            inner = tf.reduce_sum(products * kernel, axis=1)
            found.append((inner + shift * d) * deviation)
        if self.norm.beta is not None:
            found.append(d)
        return found

    @cached_property
    def _held(self) -> tuple[tf.Variable, ...]:
        """Hold s = γρ, ρ and b - m, each [outputs], of the weights last folded."""
        empty = tf.zeros([self.layer.filters], self.layer.kernel.dtype)
        return tuple(tf.Variable(empty, trainable=False) for _ in range(3))


def _sums(cotangents: list[tf.Tensor]) -> tf.Tensor:
    """Return d = Σ_t δ_t [B, K, outputs] of K × δ [B, H', W', outputs]."""
    return tf.stack([tf.reduce_sum(each, axis=[1, 2]) for each in cotangents], axis=1)


def _of_vector(per_example: tf.Tensor) -> Gradient:
    """Return the gradient of a vector from its values [B, K, outputs]."""
    squared_norms = tf.reduce_sum(tf.square(per_example), axis=2)
    return Gradient(squared_norms, tf.reduce_sum(per_example[:, 0], axis=0))


def _float64(variable: keras.Variable) -> npt.NDArray[np.float64]:
    """Return a variable's values in its shape [...]."""
    values: npt.NDArray[np.float64] = variable.value.numpy().astype(np.float64)
    return values
