"""The environment that determines the bits: libraries, device, threads, determinism."""

from __future__ import annotations

import gc
import os
import platform
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras.src.utils.naming import reset_uids

from workers.contract.environment_facts import EnvironmentFacts
from workers.contract.errors import user_error
from workers.contract.identity import STEP_VERSION
from workers.process.devices import gpu_names, instruction_sets, processor_name
from workers.process.surroundings import GPU_CURE

_MOST_AT_ONCE = 2
"""Operations at a time of a trial with several threads on the processor: of a step backward, a layer's kernel and its inputs.
A ResNet's steps on two cores then take 0.92 to 0.95 of the time, and more would hold more memory."""


@dataclass(frozen=True)
class Environment:
    """The environment in which a trial runs.

    Attributes:
        facts: What its identity is the hash of.
        host: Name of the machine.
    """

    facts: EnvironmentFacts
    host: str


def prepare(num_threads: int, *, uses_gpu: bool, gpu_limit_bytes: int | None = None) -> Environment:
    """Set threads, device and determinism of this process, before TensorFlow runs any operation.

    TensorFloat-32 is switched off, so that float32 is float32.

    Args:
        num_threads: Threads of one operation.
        uses_gpu: Whether GPUs are visible; their memory is taken as it is needed.
        gpu_limit_bytes: The most memory that a share of a GPU may take.

    Raises:
        UserError: The trial holds GPUs, and TensorFlow sees none of the machine's; on the CPU it would be another
            trial. A machine without any, whose cluster was told of some, trains on its CPU.
        RuntimeError: Operations have run with other settings (our own bug).
    """
    at_once = 1 if uses_gpu else min(num_threads, _MOST_AT_ONCE)
    _set_threads(num_threads, at_once)
    fix_keras()
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(enabled=False)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and not uses_gpu:
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    if uses_gpu and not gpus and gpu_names():
        raise user_error(
            "a trial holds GPUs, and TensorFlow sees none of those that are here",
            where=f"resources.gpus, on {platform.node()}",
            mend=f"{GPU_CURE}; `minima doctor` tells there what is missing",
        )
    for gpu in gpus:
        _bound_memory(gpu, gpu_limit_bytes)
    device = _gpu_name(gpus[0]) if gpus else processor_name()
    return Environment(_facts(num_threads, at_once, device), platform.node())


def fix_keras() -> None:
    """Set what `~/.keras/keras.json` or an earlier order may have set otherwise to Keras' own defaults.

    Names that Keras counts up start anew, and networks that nobody uses are let go. Keras' own `clear_session` would have
    TensorFlow prepare again every function that is kept.
    """
    reset_uids()
    gc.collect()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def _set_threads(num_threads: int, at_once: int) -> None:
    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() != num_threads:
        threading.set_intra_op_parallelism_threads(num_threads)
    if threading.get_inter_op_parallelism_threads() != at_once:
        threading.set_inter_op_parallelism_threads(at_once)


def _bound_memory(gpu: tf.config.PhysicalDevice, limit_bytes: int | None) -> None:
    """Let a GPU's memory be taken as it is needed, up to a limit.

    TensorFlow 2.21 refuses `set_memory_growth` on a device with logical ones, and leaves out of the
    device's options one that was set before them (`Context._compute_device_options`). The
    variable below is read by the allocator itself, whatever the options say, so it achieves both.
    """
    if limit_bytes is None:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
        return
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    limit = tf.config.LogicalDeviceConfiguration(memory_limit=limit_bytes // 2**20)  # in MiB
    tf.config.set_logical_device_configuration(gpu, [limit])


def _facts(num_threads: int, at_once: int, device: str) -> EnvironmentFacts:
    build = tf.sysconfig.get_build_info()
    return EnvironmentFacts(
        tensorflow=tf.__version__,
        keras=keras.__version__,
        numpy=np.__version__,
        cuda=str(build.get("cuda_version")),
        cudnn=str(build.get("cudnn_version")),
        machine=platform.machine(),
        device=device,
        instruction_sets=instruction_sets(),
        intra_op_threads=num_threads,
        inter_op_threads=at_once,
        onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        op_determinism=True,
        tensor_float_32=False,
        xla_flags=os.environ.get("XLA_FLAGS", "").split(),
        step_version=STEP_VERSION,
    )


def _gpu_name(gpu: tf.config.PhysicalDevice) -> str:
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
