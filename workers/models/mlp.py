"""A multilayer perceptron: dense ReLU layers, then raw outputs; without hidden layers a linear model."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workers.contract.frozen import Count
from workers.contract.items import ModelItem

if TYPE_CHECKING:
    import keras


class MLPSpec(ModelItem):
    """Dense ReLU layers; no hidden layer gives a linear model."""

    name: Literal["mlp"] = "mlp"
    hidden_units: list[Count] = Field(default_factory=list)

    @property
    def title(self) -> str:
        """What people call it."""
        return "MLP"

    def multiply_adds(self, input_shape: tuple[int, ...], num_outputs: int) -> float:
        """Count Σ n_k n_{k+1} over the layers."""
        sizes = [math.prod(input_shape), *self.hidden_units, num_outputs]
        return float(sum(a * b for a, b in itertools.pairwise(sizes)))


def build(spec: MLPSpec, input_shape: tuple[int, ...], num_outputs: int, seed: int) -> keras.Model:
    """Build z = W_k relu(… relu(W_0 x + b_0) …) + b_k on the flattened input.

    Args:
        spec: Units of the hidden layers.
        input_shape: Shape of one example, of any rank.
        num_outputs: C, the width of the raw outputs.
        seed: Decides the initial weights: He-normal kernels, zero biases.
    """
    import keras  # here: who plans needs no TensorFlow

    from workers.models.initialisation import he_normal

    inputs = keras.Input(input_shape, name="inputs")
    values = keras.layers.Flatten(name="flatten")(inputs)
    for position, num_units in enumerate(spec.hidden_units):
        values = keras.layers.Dense(
            num_units,
            activation="relu",
            kernel_initializer=he_normal(seed, position),
            name=f"hidden{position}",
        )(values)
    outputs = keras.layers.Dense(
        num_outputs, kernel_initializer=he_normal(seed, len(spec.hidden_units)), name="outputs"
    )(values)
    return keras.Model(inputs, outputs, name="mlp")


ITEM = MLPSpec
