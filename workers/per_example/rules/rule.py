"""What a rule offers: the variables of a layer, and every example's squared gradient norms."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import keras
import tensorflow as tf


class Gradient(NamedTuple):
    """What all examples of a batch have for one variable.

    Attributes:
        squared_norms: ‖∂(cₖ·z)/∂θ‖² [B, K] for K cotangents c of the outputs z.
        total: Σ_b of the gradient for the first cotangent, in the variable's shape.
    """

    squared_norms: tf.Tensor
    total: tf.Tensor


def kernel_and_bias(layer: keras.layers.Conv2D | keras.layers.Dense) -> list[keras.Variable]:
    """Return the kernel of a layer, and its bias where it has one."""
    return [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]


class Rule(Protocol):
    """Turns a layer's inputs and the cotangents of its outputs into gradients of its variables.

    Of frozen ones too: what is θ is not decided here, and what nobody reads is never computed.
    """

    @property
    def output_layer(self) -> str:
        """Name of the layer whose inputs and outputs are meant."""
        ...

    @property
    def variables(self) -> list[keras.Variable]:
        """Of the network that was dissected, in the order of the gradients."""
        ...

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give a gradient for each variable.

        Args:
            inputs: Of the layer [B, …].
            cotangents: K tensors of the shape of its outputs, before the activation.
        """
        ...

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Give every example's gradient itself for each variable, as [B, …] in the variable's order.

        Args:
            inputs: Of the layer [B, …].
            cotangent: Of its outputs, before the activation.
        """
        ...
