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
        values: θ, in the shape Keras keeps it.
        has_decay: Whether weight decay acts on it: kernels of Conv2D and Dense.
    """

    layer: str
    values: npt.NDArray[np.float64]
    has_decay: bool = False


class Gradient(NamedTuple):
    """What all examples of a batch have for one parameter.

    Attributes:
        squared_norms: ‖∂(cₖ·z)/∂θ‖² [B, K] for K cotangents c of the outputs z.
        total: Σ_b of the gradient for the first cotangent, in the parameter's shape.
    """

    squared_norms: tf.Tensor
    total: tf.Tensor


class Rule(Protocol):
    """Turns a layer's inputs and the cotangents of its outputs into gradients of its parameters.

    Attributes:
        output_layer: Name of the layer, in the network taken apart, whose inputs and outputs are meant.
        parameters: In the order of the gradients.
    """

    @property
    def output_layer(self) -> str: ...

    @property
    def parameters(self) -> list[Parameter]: ...

    def gradients(self, inputs: tf.Tensor, cotangents: list[tf.Tensor]) -> list[Gradient]:
        """Give a gradient for each parameter.

        Args:
            inputs: Of the layer [B, …].
            cotangents: K tensors of the shape of its outputs, before the activation.
        """
        ...


def parameter(layer: keras.Layer, variable: keras.Variable, *, has_decay: bool = False) -> Parameter:
    """Describe a layer's variable."""
    return Parameter(layer.name, variable.value.numpy().astype(np.float64), has_decay)
