"""What a rule offers: the variables of a layer, and every example's squared gradient norms."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import keras
import tensorflow as tf


class Gradient(NamedTuple):
    """The gradients of one variable over the examples of a batch.

    Attributes:
        squared_norms: ‖∂(cₖ·z)/∂θ‖² [B, K] for K cotangents c of the outputs z.
        total: Σ_b of the gradient for the first cotangent, in the variable's shape [...].
    """

    squared_norms: tf.Tensor
    total: tf.Tensor


def kernel_and_bias(layer: keras.layers.Conv2D | keras.layers.Dense) -> list[keras.Variable]:
    """Return the kernel of a layer, and its bias where it has one."""
    return [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]


class Rule(Protocol):
    """Map from a layer's inputs and the cotangents of its outputs to gradients of its variables.

    Frozen variables included: what belongs to θ is not decided here, and what is not read is not
    computed.
    """

    @property
    def output_layer(self) -> str:
        """Name of the layer whose inputs and outputs are used."""
        ...

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables of the dissected network, in the order of the gradients."""
        ...

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Return a gradient for each variable.

        Args:
            inputs: Inputs of the layer [B, …].
            cotangents: K cotangents of its outputs [B, …], before the activation.
        """
        ...

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Return every example's gradient itself for each variable, [B, …] in its order.

        Args:
            inputs: Inputs of the layer [B, …].
            cotangent: Cotangent of its outputs [B, …], before the activation.
        """
        ...
