"""θ, the parameters: which tensors SGD moves, in which order, of which layer, and which decay.

Listed here alone, from what Keras calls the trainable variables, so that training and every
statistic use the same list. A frozen layer (`trainable=False`) is not in it; a frozen batch norm
moreover keeps its moving statistics in every mode, as Keras runs it in inference mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from workers.contract.errors import Fault

_DECAYED = (keras.layers.Conv2D, keras.layers.Dense)

_FREEZE = "freeze whole layers, each with trainable=False of its own"


@dataclass(frozen=True)
class Parameter:
    """One trained tensor of a network.

    Attributes:
        layer: Name of the innermost layer that owns it.
        variable: The Keras variable with its values.
        has_decay: Whether weight decay acts on it: kernels of Conv2D and Dense, no bias, γ or β.
    """

    layer: str
    variable: keras.Variable
    has_decay: bool = False

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Its values in float64, in the variable's shape [...]."""
        return np.asarray(self.variable.value.numpy(), np.float64)


def params_of(model: keras.Layer) -> list[Parameter]:
    """List θ of a network, or of one of its layers: its trainable variables in Keras' order.

    A vector [P] holds them, flattened and concatenated. A layer that is used twice is listed once.
    """
    owners = _owners(model)
    return [_parameter(owners[id(each)], each) for each in model.trainable_variables]


def num_params(model: keras.Model) -> int:
    """Return P, the number of scalars in θ."""
    return sum(int(np.prod(each.variable.shape)) for each in params_of(model))


def faults_of(model: keras.Model, graph: keras.Model) -> Iterator[Fault]:
    """Find what makes θ differ from the list a reader of the network would expect, or empty.

    Args:
        model: The network.
        graph: Its graph of layers, which is what is measured.
    """
    if not model.trainable_variables:
        what = f"the model {model.name!r} has no weights to train"
        yield Fault(what, "model", "give it a layer with trainable weights")
    inside = {id(each) for each in graph.weights}
    for weight in model.weights:
        if id(weight) not in inside:
            what = f"the weight {weight.path!r} belongs to no layer of the model {model.name!r}"
            yield Fault(what, "model", "give it to a layer of your own that the graph calls")
    for layer in model._flatten_layers(include_self=False):
        if not layer.trainable:
            yield from _half_frozen(layer)


def copying_faults(model: keras.Model, copy: keras.Model) -> list[Fault]:
    """List the weights that are trained in a network and frozen in its copy, or vice versa.

    Keras makes a copy, and reads a kept file, from the configuration that each layer returns.

    Args:
        model: The network.
        copy: Its copy, with as many weights in the same order.
    """
    trained, kept = ({id(each.variable) for each in params_of(one)} for one in (model, copy))
    pairs = zip(model.weights, copy.weights, strict=True)
    return [
        Fault(
            f"the weight {weight.path!r} is {'trained' if id(weight) in trained else 'frozen'}, which "
            "a copy of the network does not keep",
            "model",
            f"{_FREEZE}; a layer of your own must describe its sublayers in get_config()",
        )
        for weight, other in pairs
        if (id(weight) in trained) != (id(other) in kept)
    ]


def _owners(model: keras.Layer) -> dict[int, keras.Layer]:
    """Find the innermost layer that owns each weight, by the identity of the weight."""
    owners: dict[int, keras.Layer] = {}
    for layer in model._flatten_layers():
        below = layer._flatten_layers(include_self=False)
        of_sublayers = {id(weight) for each in below for weight in each.weights}
        owners |= {id(each): layer for each in layer.weights if id(each) not in of_sublayers}
    return owners


def _parameter(layer: keras.Layer, variable: keras.Variable) -> Parameter:
    has_decay = isinstance(layer, _DECAYED) and variable is layer.kernel
    return Parameter(str(layer.name), variable, has_decay)


def _half_frozen(layer: keras.Layer) -> Iterator[Fault]:
    for weight in layer.weights:
        if weight.trainable:
            what = f"the layer {layer.name!r} has trainable=False, and its weight {weight.path!r} is trained"
            yield Fault(what, f"model, layer {layer.name!r}", _FREEZE)
