"""Copies of a network that leave Python's random generator where it was."""

from __future__ import annotations

import random
from collections.abc import Callable

import keras


def clone(model: keras.Model, **functions: Callable[..., object] | bool) -> keras.Model:
    """Clone the graph of a network, its weights at new initial values, as `keras.models.clone_model`.

    Keras draws a seed from the global generator for every initializer and random layer that was
    given none; measuring must not change what its caller draws next.

    Args:
        model: A graph of layers.
        functions: The options of `keras.models.clone_model`.
    """
    state = random.getstate()
    try:
        return keras.models.clone_model(model, **functions)
    finally:
        random.setstate(state)
