"""What a rule offers: the parameters of a layer, and every example's squared gradient norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


@dataclass(frozen=True)
class Parameter:
    """One trained tensor of the measured network.

    Attributes:
        layer: Name of its layer.
        variable: θ, in the network that was dissected.
        has_decay: Whether weight decay acts on it: kernels of Conv2D and Dense.
    """

    layer: str
    variable: keras.Variable
    has_decay: bool = False

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """θ, in the shape Keras keeps it."""
        return np.asarray(self.variable.value.numpy(), np.float64)


class Gradient(NamedTuple):
    """What all examples of a batch have for one parameter.

    Attributes:
        squared_norms: ‖∂(cₖ·z)/∂θ‖² [B, K] for K cotangents c of the outputs z.
        total: Σ_b of the gradient for the first cotangent, in the parameter's shape.
    """

    squared_norms: tf.Tensor
    total: tf.Tensor


class Rule(Protocol):
    """Turns a layer's inputs and the cotangents of its outputs into gradients of its parameters."""

    @property
    def output_layer(self) -> str:
        """Name of the layer whose inputs and outputs are meant."""
        ...

    @property
    def parameters(self) -> list[Parameter]:
        """In the order of the gradients."""
        ...

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give a gradient for each parameter.

        Args:
            inputs: Of the layer [B, …].
            cotangents: K tensors of the shape of its outputs, before the activation.
        """
        ...

    def vectors(self, inputs: tf.Tensor, cotangent: tf.Tensor) -> list[tf.Tensor]:
        """Give every example's gradient itself for each parameter, as [B, …] in the parameter's order.

        Args:
            inputs: Of the layer [B, …].
            cotangent: Of its outputs, before the activation.
        """
        ...


def parameter(
    layer: keras.Layer, variable: keras.Variable, *, has_decay: bool = False
) -> Parameter:
    """Describe a layer's variable."""
    return Parameter(str(layer.name), variable, has_decay)
