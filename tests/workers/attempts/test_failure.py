"""Classes and signatures of failures."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import tensorflow as tf

from workers.attempts.failure import ModelLost, WeightsConflict, classify, signature
from workers.contract.errors import StoreError, UserError, user_error
from workers.process.gpu_memory import GpuBusy
from workers.training.steps.batches import steps_per_epoch


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (user_error("what", where="where", mend="mend"), "user_error"),
        (ModelLost(), "model_lost"),
        (WeightsConflict(), "conflict"),
        (MemoryError(), "host_out_of_memory"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "host_out_of_memory"),
        (GpuBusy(), "gpu_busy"),
        (StoreError(), "storage"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage"),
        (OSError(errno.ENOENT, "No such file"), "bug"),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_LAUNCH_FAILED"), "device"),
        (FloatingPointError(), "nonfinite"),
        (np.linalg.LinAlgError(), "nonfinite"),
        (KeyError("a"), "bug"),
    ],
)
def test_each_failure_has_a_class(error, name):
    """What is not known is a bug."""
    assert classify(error) == name


def test_memory_that_ran_out_is_the_gpus_where_there_is_one(monkeypatch):
    """TensorFlow raises the same error for both."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    assert classify(error) == "gpu_out_of_memory"


def test_the_signature_names_the_innermost_function_of_ours(make_trial):
    """Equal causes have equal signatures, whatever the values."""
    found = []
    for size in (64, 128):
        try:
            steps_per_epoch(make_trial(batch_size=size), 50)
        except UserError as error:
            found.append(signature(error))
    assert found == ["UserError in training/steps/batches.py:steps_per_epoch"] * 2


def test_a_failure_outside_our_code_is_named_by_its_type():
    """No file of ours is in the traceback."""
    assert signature(KeyError("a")) == "KeyError"
