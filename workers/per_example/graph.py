"""The calls a functional network consists of, in order."""

from __future__ import annotations

from dataclasses import dataclass

import keras

_PIECEWISE_LINEAR_ACTIVATIONS = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.relu6,
    keras.activations.leaky_relu,
)

_PIECEWISE_LINEAR_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Add,
    keras.layers.Subtract,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Concatenate,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.AveragePooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Dropout,
    keras.layers.Rescaling,
    keras.layers.Normalization,
)


@dataclass(frozen=True)
class Call:
    """One use of a layer or operation.

    Attributes:
        operation: The layer, or Keras operation such as the sum `x + y`.
        inputs: The tensors it read.
        output: What it made.
    """

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    output: object

    @property
    def name(self) -> str:
        """Unique in its network."""
        return str(self.operation.name)

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it is trained."""
        return bool(getattr(self.operation, "trainable_variables", ()))


@dataclass(frozen=True)
class Graph:
    """All calls of a network, and the tensors it gives."""

    calls: list[Call]
    outputs: list[keras.KerasTensor]

    def readers(self, tensor: object) -> list[Call | None]:
        """List who reads a tensor; None is the network's own output."""
        calls: list[Call | None] = [
            call for call in self.calls for each in call.inputs if each is tensor
        ]
        return calls + [None for each in self.outputs if each is tensor]


def graph_of(model: keras.Model) -> Graph:
    """Record the calls of a functional network by calling its own layers anew."""
    calls: list[Call] = []

    def record(operation: keras.Operation, *args: object, **kwargs: object) -> object:
        output = operation(*args, **kwargs)
        tensors = keras.tree.flatten((args, kwargs))
        inputs = [each for each in tensors if isinstance(each, keras.KerasTensor)]
        calls.append(Call(operation, inputs, output))
        return output

    again = keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=record
    )
    return Graph(calls, list(again.outputs))


def is_piecewise_linear(model: keras.Model) -> bool:
    """Say whether the outputs are piecewise linear in each layer's parameters, the others held.

    Then ∂²z/∂θ² vanishes on every layer's diagonal block wherever it exists, and tr H = tr(JᵀAJ)
    exactly, layer by layer. Judged by a list of known layers and activations; anything else is not.
    """
    return all(_is_piecewise_linear(operation) for operation in model.operations)


def _is_piecewise_linear(operation: keras.Operation) -> bool:
    kinds = (keras.layers.Conv2D, keras.layers.Dense, keras.layers.Activation)
    if type(operation) in kinds:
        return operation.activation in _PIECEWISE_LINEAR_ACTIVATIONS
    return type(operation) in _PIECEWISE_LINEAR_LAYERS
