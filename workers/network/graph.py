"""The calls a functional network consists of, in order."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras.src.ops import numpy as operations  # their classes have no public name

from workers.network.cloning import clone
from workers.network.params import params_of

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
    operations.Add,  # x + y, written between tensors of the graph or between one and a constant
    operations.Subtract,
    operations.Negative,
)

_LINEAR_IN_ONE_TENSOR = (operations.Multiply,)
"""x * y is linear where one of the two is a constant."""

_LINEAR_IN_THE_FIRST = (operations.TrueDivide, operations.Divide)
"""x / y is linear where y is a constant."""


@dataclass(frozen=True)
class Call:
    """One use of a layer or operation.

    Attributes:
        operation: The layer, or Keras operation such as the sum `x + y`.
        inputs: The tensors that it reads.
        output: The tensor or tensors that it returns.
        is_first_a_tensor: Whether its first argument is a tensor of the graph, not a constant.
        training: The mode in which it was called, if the graph states one.
    """

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    output: object
    is_first_a_tensor: bool = True
    training: bool | None = None

    @property
    def name(self) -> str:
        """Its name, unique in its network."""
        return str(self.operation.name)

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it is trained."""
        return isinstance(self.operation, keras.Layer) and bool(params_of(self.operation))


@dataclass(frozen=True)
class Graph:
    """All calls of a network in an order of evaluation, with its input and output tensors."""

    calls: list[Call]
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]

    def readers(self, tensor: object) -> list[Call | None]:
        """List the calls that read a tensor; None stands for the network's own output."""
        calls: list[Call | None] = [
            call for call in self.calls for each in call.inputs if each is tensor
        ]
        return calls + [None for each in self.outputs if each is tensor]


def graph_of(model: keras.Model, *, opens_nested: bool = False) -> Graph:
    """Record the calls of a functional network by calling its own layers again.

    Args:
        model: The network.
        opens_nested: Whether the calls within nested networks replace the call of the nested
            network.
    """
    calls: list[Call] = []

    def record(operation: keras.Operation, *args: object, **kwargs: object) -> object:
        inner = _inner_graph(operation) if opens_nested else None
        if inner is not None:
            return inner._run_through_graph(args[0], call_fn=record)
        output = operation(*args, **kwargs)
        tensors = keras.tree.flatten((args, kwargs))
        inputs = [each for each in tensors if isinstance(each, keras.KerasTensor)]
        is_first_a_tensor = isinstance(tensors[0], keras.KerasTensor)
        mode = kwargs.get("training")
        training = None if mode is None else bool(mode)
        calls.append(Call(operation, inputs, output, is_first_a_tensor, training))
        return output

    again = clone(model, clone_function=lambda layer: layer, call_function=record)
    return Graph(calls, list(again.inputs), list(again.outputs))


def _inner_graph(operation: keras.Operation) -> keras.Model | None:
    """Return a layer as a functional network; None for a layer without a graph of its own."""
    if isinstance(operation, keras.Sequential):
        return operation._functional
    return operation if hasattr(operation, "_run_through_graph") else None


def is_masked(call: Call) -> bool:
    """Return whether a layer reads a tensor with a mask, as `Masking` and `Embedding` give it, or is given one."""
    masks = [keras.src.backend.get_keras_mask(each) for each in call.inputs]
    return len(call.inputs) > 1 or any(each is not None for each in masks)


def is_piecewise_linear(model: keras.Model) -> bool:
    """Return whether the outputs are piecewise linear in each layer's parameters, the others fixed.

    Then ∂²z/∂θ² vanishes on every layer's diagonal block wherever it exists, and tr H = tr(JᵀAJ)
    exactly, layer by layer. Decided by a list of known layers and activations; anything else is
    not.
    """
    return all(_is_piecewise_linear(call) for call in graph_of(model).calls)


def _is_piecewise_linear(call: Call) -> bool:
    kind = type(call.operation)
    if kind in (keras.layers.Conv2D, keras.layers.Dense, keras.layers.Activation):
        return call.operation.activation in _PIECEWISE_LINEAR_ACTIVATIONS
    if kind in _LINEAR_IN_ONE_TENSOR:
        return len(call.inputs) == 1
    if kind in _LINEAR_IN_THE_FIRST:
        return len(call.inputs) == 1 and call.is_first_a_tensor
    return kind in _PIECEWISE_LINEAR_LAYERS
