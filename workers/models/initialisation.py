"""Seeds of initial weights: each layer draws from its own stream, named by its position."""

from __future__ import annotations

import keras
import numpy as np


def layer_seed(seed: int, position: int) -> int:
    """Derive the seed of one layer's weights from the trial's seed and the layer's position.

    Layers get independent streams, so that no layer's weights depend on how many numbers
    the layers before it drew.
    """
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0] >> 1)


def he_normal(seed: int, position: int) -> keras.initializers.Initializer:
    """Make the He-normal initializer of the layer at a position.

    Truncated normal of standard deviation √(2 / fan-in). Source: He et al. (2015), 1502.01852.
    """
    return keras.initializers.HeNormal(seed=layer_seed(seed, position))
