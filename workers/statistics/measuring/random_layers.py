"""Layers that draw random numbers in training mode, which no statistic in that mode can tell from batches."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from workers.contract.errors import Fault


def random_layer_faults(
    network: keras.Model, input_shape: tuple[int, ...], cure: str
) -> Iterator[Fault]:
    """Find every layer whose draws would count as noise of the batches.

    Args:
        network: A graph of layers.
        input_shape: Of an example.
        cure: What to do other than training without the layer.
    """
    for layer in _random_layers(network, input_shape):
        what = (
            f"the {type(layer).__name__} layer {layer.name!r} draws random numbers in training mode, "
            "which are no noise of the batches"
        )
        yield Fault(what, f"model, layer {layer.name!r}", f"train without it, {cure}")


def _random_layers(network: keras.Model, input_shape: tuple[int, ...]) -> list[keras.Layer]:
    """List the layers that moved a random generator on in training mode; none is really moved."""
    example = tf.zeros([2, *input_shape], network.inputs[0].dtype)
    with keras.StatelessScope() as scope:
        network(example, training=True)

    def has_moved(generator: keras.random.SeedGenerator) -> bool:
        return scope.get_current_value(generator.state) is not None

    layers = network._flatten_layers(include_self=False)
    return [layer for layer in layers if any(map(has_moved, layer._seed_generators))]
