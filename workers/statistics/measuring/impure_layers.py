"""Layers that in training mode are no function of weights and batch: they draw, or keep a state."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from workers.contract.errors import Fault


def impure_layer_faults(
    network: keras.Model, input_shape: tuple[int, ...], cure: str
) -> Iterator[Fault]:
    """Find every layer whose draws would count as noise of the batches, or that moves a state of its own.

    What a batch yields would depend on the batches before it, and on where a kill cut them off. The
    moving averages of a batch norm are no such state, as training mode does not read them; those by
    which it renormalises are.

    Args:
        network: A graph of layers.
        input_shape: Of an example.
        cure: What to do other than training without the layer.
    """
    scope = _called_in_training(network, input_shape)
    told: set[int] = set()
    for layer in network._flatten_layers(include_self=False):
        what = f"the {type(layer).__name__} layer {layer.name!r}"
        where, mend = f"model, layer {layer.name!r}", f"train without it, {cure}"
        if any(_has_moved(each.state, scope) for each in layer._seed_generators):
            draws = "draws random numbers in training mode, which are no noise of the batches"
            yield Fault(f"{what} {draws}", where, mend)
        moved = [
            each for each in _states(layer) if _has_moved(each, scope) and id(each) not in told
        ]
        told |= set(map(id, moved))  # a wrapper's are those of the layer within it too
        if moved:
            names = ", ".join(repr(each.name) for each in moved)
            moves = f"moves {names} in training mode, on which what later batches yield depends"
            yield Fault(f"{what} {moves}", where, mend)


def _called_in_training(network: keras.Model, input_shape: tuple[int, ...]) -> keras.StatelessScope:
    """Call a network in training mode; return what it would have moved, as nothing is really moved."""
    example = tf.zeros([2, *input_shape], network.inputs[0].dtype)
    with keras.StatelessScope() as scope:
        network(example, training=True)
    return scope


def _has_moved(variable: keras.Variable, scope: keras.StatelessScope) -> bool:
    return scope.get_current_value(variable) is not None


def _states(layer: keras.Layer) -> list[keras.Variable]:
    """List a layer's own variables that no call in training mode may move."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    averages = [layer.moving_mean, layer.moving_variance] if is_norm else []
    return [each for each in own if not any(each is one for one in averages)]
