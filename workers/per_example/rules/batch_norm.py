"""Frozen batch norms not folded into a convolution: behind other layers, or before convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from workers.per_example.rules.rule import Gradient


@dataclass(frozen=True)
class BatchNormRule:
    """y = γ x̂ + β, x̂ = (x - m) (v + ε)^(-1/2) with fixed m, v: ∂/∂γ = Σ_t δ_t x̂_t, ∂/∂β = Σ_t δ_t."""

    layer: keras.layers.BatchNormalization

    @property
    def output_layer(self) -> str:
        """Name of the layer whose outputs the cotangents belong to."""
        return str(self.layer.name)

    @property
    def variables(self) -> list[keras.Variable]:
        """γ and β [channels], where the layer has them."""
        return [each for each in (self.layer.gamma, self.layer.beta) if each is not None]

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Return the gradients of γ and β from x [B, …, channels] and K × δ of the same shape."""
        of_cotangents = [self.vectors(inputs, each) for each in cotangents]
        return [_gradient(list(each)) for each in zip(*of_cotangents, strict=True)]

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Return Σ_t δ_t x̂_t and Σ_t δ_t, each [B, channels]."""
        found = []
        if self.layer.gamma is not None:
            deviation = tf.math.rsqrt(self.layer.moving_variance.value + self.layer.epsilon)
            normalised = (inputs - self.layer.moving_mean.value) * deviation
            found.append(_sum_over_positions(cotangent * normalised))
        if self.layer.beta is not None:
            found.append(_sum_over_positions(cotangent))
        return found


def _sum_over_positions(values: tf.Tensor) -> tf.Tensor:
    """Sum values [B, …, channels] over positions to [B, channels]."""
    return tf.reduce_sum(values, axis=list(range(1, values.shape.rank - 1)))


def _gradient(of_cotangents: list[tf.Tensor]) -> Gradient:
    """Return the gradient of a vector from K × [B, channels]."""
    squared_norms = [tf.reduce_sum(tf.square(each), axis=1) for each in of_cotangents]
    return Gradient(tf.stack(squared_norms, axis=1), tf.reduce_sum(of_cotangents[0], axis=0))
