"""A dissected network, in which the parameters' rules find their inputs and cotangents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import keras
import numpy as np

from workers.contract.errors import UserError, user_error
from workers.network.cloning import clone
from workers.network.graph import Call, Graph, graph_of
from workers.network.params import Parameter, params_of
from workers.per_example.layer_faults import LEAVE_OUT, faults_of
from workers.per_example.rules.batch_norm import BatchNormRule
from workers.per_example.rules.convolution import ConvolutionRule, NormalisedConvolutionRule
from workers.per_example.rules.dense import DenseRule
from workers.per_example.rules.rule import Rule

Value = TypeVar("Value")

_RULES: dict[type[keras.Layer], Callable[[keras.Layer], Rule]] = {
    keras.layers.Conv2D: ConvolutionRule,
    keras.layers.Dense: DenseRule,
    keras.layers.BatchNormalization: BatchNormRule,
}

_NUM_TRIED = 2
_TOLERANCE = 1e-2
"""Of equal outputs, relative to the largest: folding rounds by some 1e-6, far more where a batch norm divides by
little; a layer taken for another is off by its share."""


@dataclass(frozen=True)
class Dissection:
    """A network that also returns the inputs and outputs of every layer with parameters.

    Attributes:
        network: x → (z, inputs of each rule's layer, its outputs before the activation). In
            inference mode z is that of the original network, up to rounding.
        rules: One for each layer, or pair of layers, with trained parameters.
        theta: The parameters of the original network, by the identity of their variables.
        original: The network that was dissected.
        plain: The copy of it whose layers `network` shows.
    """

    network: keras.Model
    rules: list[Rule]
    theta: dict[int, Parameter]
    original: keras.Model
    plain: keras.Model

    def take_weights(self) -> None:
        """Take the weights that the original network now holds.

        Raises:
            UserError: Taken apart, the network would compute something else.
        """
        originals = {layer.name: layer for layer in self.original.layers}
        rules = {rule.output_layer: rule for rule in self.rules}
        for layer in self.plain.layers:
            rule = rules.get(layer.name)
            if isinstance(rule, NormalisedConvolutionRule):
                layer.set_weights(rule.fold())
            elif layer.weights:
                layer.set_weights(originals[layer.name].get_weights())
        _refuse_other_outputs(self.original, self.plain)

    @property
    def parameters(self) -> list[Parameter]:
        """θ, in the order of the rules."""
        variables = self.of_parameters(rule.variables for rule in self.rules)
        return [self.theta[id(each)] for each in variables]

    def of_parameters(self, found: Iterable[Sequence[Value]]) -> list[Value]:
        """Select, from values for all of the rules' variables, those for θ.

        Args:
            found: One sequence per rule, in the order of its variables.
        """
        return [
            each
            for rule, values in zip(self.rules, found, strict=True)
            for variable, each in zip(rule.variables, values, strict=True)
            if id(variable) in self.theta
        ]


def dissect(model: keras.Model) -> Dissection:
    """Dissect a functional network, whose batch norms hold the statistics to use.

    Raises:
        UserError: A layer with trained parameters has no rule, or is used twice; all faults at
            once. Taken apart, the network would compute something else.
    """
    found = take_apart(model)
    found.take_weights()
    return found


def take_apart(model: keras.Model) -> Dissection:
    """Dissect a functional network that is yet to `take_weights`, whenever it has others.

    Raises:
        UserError: A layer with trained parameters has no rule, or is used twice; all faults at once.
    """
    graph = graph_of(model)
    _refuse(graph)
    pairs = _normalised_convolutions(graph)
    taken_in = {pair.norm.name for pair in pairs.values()}
    rules = [
        pairs.get(call.name) or _RULES[type(call.operation)](call.operation)
        for call in graph.calls
        if call.has_parameters and call.name not in taken_in
    ]
    plain = _rebuild(model, {rule.output_layer: rule for rule in rules}, taken_in)
    ends = [plain.get_layer(rule.output_layer) for rule in rules]
    shown = [plain.output, [layer.input for layer in ends], [layer.output for layer in ends]]
    theta = {id(each.variable): each for each in params_of(model)}
    return Dissection(keras.Model(plain.input, shown), rules, theta, model, plain)


def refuse_without_rules(model: keras.Model) -> None:
    """Check that a network can be dissected, before any work is done on it.

    Raises:
        UserError: As for `dissect`.
    """
    _refuse(graph_of(model))


def _refuse(graph: Graph) -> None:
    faults = faults_of(graph.calls)
    if faults:
        raise UserError(faults)


def _normalised_convolutions(graph: Graph) -> dict[str, NormalisedConvolutionRule]:
    """Find the convolutions that only a batch norm reads, which reads nothing else, by name."""
    uses, found = Counter(call.name for call in graph.calls), {}
    for call in graph.calls:
        readers = graph.readers(call.output)
        norm = readers[0] if len(readers) == 1 else None
        if norm is not None and uses[norm.name] == 1 and _takes_in(norm, call):
            found[call.name] = NormalisedConvolutionRule(call.operation, norm.operation)
    return found


def _takes_in(reader: Call, convolution: Call) -> bool:
    """Return whether a convolution and its reader are of the very types that the rule knows."""
    return (
        type(reader.operation) is keras.layers.BatchNormalization
        and type(convolution.operation) is keras.layers.Conv2D
        and convolution.has_parameters
        and convolution.operation.activation is keras.activations.linear
    )


def _rebuild(model: keras.Model, rules: dict[str, Rule], taken_in: set[str]) -> keras.Model:
    """Copy a network's layers with activations separated from them and batch norms left out."""
    originals = {layer.name: layer for layer in model.layers}

    def copy(operation: keras.Operation) -> keras.Operation:
        if not isinstance(operation, keras.Layer):
            return operation
        config = operation.get_config()
        rule = rules.get(operation.name)
        if isinstance(rule, ConvolutionRule | NormalisedConvolutionRule | DenseRule):
            config |= {"activation": "linear"}
        if isinstance(rule, NormalisedConvolutionRule):
            config |= {"use_bias": True}
        return type(operation).from_config(config)

    def call(operation: keras.Operation, *args: object, **kwargs: object) -> object:
        if operation.name in taken_in:
            return args[0]
        output = operation(*args, **kwargs)
        if operation.name not in rules:
            return output
        activation = getattr(originals[operation.name], "activation", keras.activations.linear)
        return output if activation is keras.activations.linear else activation(output)

    return clone(model, clone_function=copy, call_function=call)


def _refuse_other_outputs(model: keras.Model, plain: keras.Model) -> None:
    """Compare a network with its copy on a few random inputs; inputs of an open shape are not tried.

    Raises:
        UserError: They differ by more than rounding.
    """
    shape = model.input_shape[1:]
    if None in shape:
        return
    inputs = np.random.default_rng(0).normal(size=(_NUM_TRIED, *shape)).astype(np.float32)
    wanted, found = (np.asarray(each(inputs, training=False)) for each in (model, plain))
    largest = np.abs(wanted).max()
    if np.isfinite(largest) and not np.abs(found - wanted).max() <= _TOLERANCE * largest:
        raise user_error(
            f"taken apart for per-example gradients, the model {model.name!r} computes other outputs",
            where="model",
            mend=f"use layers of Keras as they are, each once, {LEAVE_OUT}",
        )
