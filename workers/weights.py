"""A network's weights: their digest, which of them decay, whether they are finite."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from workers.contract.identity import weights_sha256


def digest_of_weights(model: keras.Model) -> str:
    """Hash all weights, trainable and not, by path name, in the model's order."""
    return weights_sha256(
        [(weight.path, _little_endian_bytes(weight.value.numpy())) for weight in model.weights]
    )


def decayed_kernels(model: keras.Model) -> list[keras.Variable]:
    """List the parameters under weight decay: kernels of Conv2D and Dense layers.

    Biases and batch normalisation's γ and β do not decay.
    """
    layers = model._flatten_layers(include_self=False)
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    return [layer.kernel for layer in layers if isinstance(layer, kinds)]


def num_params(model: keras.Model) -> int:
    """Count P, the trainable parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def are_finite(model: keras.Model) -> bool:
    """Say whether every weight, trainable or not, is a finite number."""
    return not non_finite_weights(model)


def non_finite_weights(model: keras.Model) -> list[str]:
    """Name the weights, trainable or not, that hold anything but finite numbers."""
    return [
        str(weight.path) for weight in model.weights if not np.isfinite(weight.value.numpy()).all()
    ]


def _little_endian_bytes(values: npt.NDArray[np.generic]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes()
