"""Frozen batch norms that no convolution takes in: behind other layers, or before convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import keras
import tensorflow as tf

from workers.per_example.rule import Gradient, Parameter, parameter


@dataclass(frozen=True)
class BatchNormRule:
    """y = γ x̂ + β, x̂ = (x - m) (v + ε)^(-1/2) with fixed m, v: ∂/∂γ = Σ_t δ_t x̂_t, ∂/∂β = Σ_t δ_t."""

    layer: keras.layers.BatchNormalization

    @property
    def output_layer(self) -> str:
        """Name of the layer whose outputs' cotangents are meant."""
        return str(self.layer.name)

    @cached_property
    def parameters(self) -> list[Parameter]:
        """γ and β [channels], as far as the layer has them."""
        variables = (self.layer.gamma, self.layer.beta)
        return [parameter(self.layer, each) for each in variables if each is not None]

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give the gradients of γ and β from x [B, …, channels] and K × δ of the same shape."""
        found = []
        if self.layer.gamma is not None:
            deviation = tf.math.rsqrt(self.layer.moving_variance.value + self.layer.epsilon)
            normalised = (inputs - self.layer.moving_mean.value) * deviation
            found.append(_summed_over_places([each * normalised for each in cotangents]))
        if self.layer.beta is not None:
            found.append(_summed_over_places(cotangents))
        return found


def _summed_over_places(per_place: list[tf.Tensor]) -> Gradient:
    axes = list(range(1, per_place[0].shape.rank - 1))
    sums = tf.stack([tf.reduce_sum(each, axis=axes) for each in per_place], axis=1)
    squared_norms = tf.reduce_sum(tf.square(sums), axis=2)
    return Gradient(squared_norms, tf.reduce_sum(sums[:, 0], axis=0))
