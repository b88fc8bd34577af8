"""A network's weights, trained or not: their digest, and whether they are finite."""

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


def are_finite(model: keras.Model) -> bool:
    """Return whether every weight, trainable or not, is a finite number."""
    return not non_finite_weights(model)


def non_finite_weights(model: keras.Model) -> list[str]:
    """List the paths of the weights, trainable or not, that are not finite throughout."""
    return [
        str(weight.path) for weight in model.weights if not np.isfinite(weight.value.numpy()).all()
    ]


def _little_endian_bytes(values: npt.NDArray[np.generic]) -> bytes:
    """Return the bytes of an array [...] in C order, the same on every machine."""
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes()
