"""The class of failure of an exception, and a signature that groups failures of one cause."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

import numpy as np
import tensorflow as tf

from workers.contract.errors import StoreError, UserError
from workers.contract.failure_classes import FailureClass
from workers.process.gpu_memory import GpuBusy

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE}
_OWN_FOLDER = Path(__file__).parents[1]


class ModelLost(Exception):
    """The kept network of a trained trial is gone: the trial must be trained again first."""


class WeightsConflict(Exception):
    """The kept network's weights are not those of the trial's record."""


def classify(error: Exception) -> FailureClass:
    """Return the class of a failure; which classes are tried again is not decided here.

    A `bug` is everything that is of no other class.
    """
    classes: list[tuple[FailureClass, tuple[type[Exception], ...]]] = [
        ("user_error", (UserError,)),
        ("model_lost", (ModelLost,)),
        ("conflict", (WeightsConflict,)),
        ("host_out_of_memory", (MemoryError,)),
        (_out_of_memory(), (tf.errors.ResourceExhaustedError,)),
        ("gpu_busy", (GpuBusy,)),
        ("storage", (StoreError,)),
        ("device", (tf.errors.InternalError, tf.errors.UnavailableError)),
        ("nonfinite", (ArithmeticError, np.linalg.LinAlgError)),
    ]
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRNOS:
        return "storage"
    return next((name for name, kinds in classes if isinstance(error, kinds)), "bug")


def _out_of_memory() -> FailureClass:
    return "gpu_out_of_memory" if tf.config.get_visible_devices("GPU") else "host_out_of_memory"


def signature(error: Exception) -> str:
    """Return the exception's type and the innermost file and function of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_OWN_FOLDER)]
    kind = type(error).__name__
    if not own:
        return kind
    return f"{kind} in {Path(own[-1].filename).relative_to(_OWN_FOLDER)}:{own[-1].name}"
