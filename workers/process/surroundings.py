"""The environment of every process that imports TensorFlow: what would change numbers is taken out of it.

Libraries read variables as they are loaded, long before a trial could set anything. The processes of a
user, a notebook's among them, keep theirs.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import MetaPathFinder

GPU_CURE = "install minima with its extra `gpu`, and the driver of the GPUs"
"""Where TensorFlow sees none of the GPUs that are there."""

_FIXED = {
    "KERAS_BACKEND": "tensorflow",
    "MPLBACKEND": "agg",  # Keras imports Matplotlib, which refuses to be where its backend is unknown
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""The last until an attempt is given its devices."""

_KEPT = frozenset({"KERAS_HOME", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR"})
"""Of places and memory."""

_ONEDNN, _ON, _OFF = "TF_ENABLE_ONEDNN_OPTS", "1", frozenset({"0", "false"})
"""It may be turned off, which rounds otherwise and is a part of `environment_id`, as XLA_FLAGS is. TensorFlow turns it on
by itself where the processor has later vectors than AVX2. With AVX2 alone, where it trains up to 1.9 times as fast, its
gradient of a strided 1 × 1 convolution writes beyond weights whose channels are no multiple of 8, which ends the
process, or nobody sees: there it is turned on for models alone of which it is known to be right."""
_LATER_THAN_AVX2 = ("avx512", "avx_", "amx")

_DROPPED = ("KERAS_", "TF_", "ONEDNN_", "DNNL_", "CUBLAS_", "NVIDIA_TF32_", "OPENBLAS_CORETYPE", "NPY_")  # fmt: skip
"""Backends, precisions, instruction sets, threads, compilation: each has its value here or in the trial."""

_IMPORT = (
    "import gc, sys; gc.disable(); sys.modules.update(matplotlib=None); import tensorflow as tf, keras; "
    "print(len(tf.config.list_physical_devices('GPU')))"
)
"""As trials' processes do: without Matplotlib, which Keras imports where it can, and without looking for garbage."""
_IMPORT_SECONDS = 120.0


@dataclass(frozen=True)
class Imported:
    """How TensorFlow and Keras start here.

    Attributes:
        num_gpus: That TensorFlow sees.
        fault: Why they do not start, in the import's own words; empty where they do.
        mend: What to do about it.
    """

    num_gpus: int = 0
    fault: str = ""
    mend: str = ""


def for_tensorflow(
    surroundings: Mapping[str, str], *, is_right_with_onednn: bool = False
) -> dict[str, str]:
    """Return the variables for a process that is to import TensorFlow, without what changes numbers.

    Args:
        surroundings: The variables of this process.
        is_right_with_onednn: Whether all that runs there is, on a processor with AVX2 alone too.
    """
    kept = {
        name: value
        for name, value in surroundings.items()
        if name in _KEPT
        or (name == _ONEDNN and value.lower() in _OFF)
        or not name.startswith(_DROPPED)
    }
    turned_on = {_ONEDNN: _ON} if is_right_with_onednn and _has_avx2_alone() else {}
    return turned_on | kept | _FIXED


def _has_avx2_alone() -> bool:
    # here: a fork server, which imports this file, starts without Pydantic
    from workers.process.devices import instruction_sets

    sets = instruction_sets().split()
    return "avx2" in sets and not any(each.startswith(_LATER_THAN_AVX2) for each in sets)


def with_devices(surroundings: Mapping[str, str]) -> dict[str, str]:
    """Return the same variables for a process that is to see the GPUs that the surroundings show."""
    found = for_tensorflow(surroundings)
    del found["CUDA_VISIBLE_DEVICES"]
    shown = surroundings.get("CUDA_VISIBLE_DEVICES")
    return found if shown is None else found | {"CUDA_VISIBLE_DEVICES": shown}


class _Absent(MetaPathFinder):
    """Answers that a module is not there."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse the module, and leave all others to the next finder."""
        if name == self._module:
            raise ModuleNotFoundError(f"{name} is not wanted here", name=name)


@contextlib.contextmanager
def without(module: str) -> Iterator[None]:
    """Hide a module from imports within, which do without it if they can; afterwards it can be imported.

    One that is imported already stays.
    """
    absent = _Absent(module)
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


def try_import(surroundings: Mapping[str, str]) -> Imported:
    """Import TensorFlow and Keras in a process of its own, as those of trials do; it takes seconds."""
    environment = {**with_devices(surroundings), "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter
            [sys.executable, "-P", "-c", _IMPORT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_IMPORT_SECONDS,
            check=False,
            text=True,
            errors="replace",
            env=environment,
        )
    except subprocess.TimeoutExpired:
        what = f"not within {_IMPORT_SECONDS:.0f} s"
        return Imported(fault=what, mend="look at the machine's load")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Imported(fault=last, mend="reinstall from the lock in deploy/")
    return Imported(num_gpus=int(done.stdout.split()[-1]))
