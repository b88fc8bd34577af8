"""What devices a machine has, by the names that trials' records have for them; needs no TensorFlow."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from workers.contract.frozen import Frozen

_VECTOR_FLAGS = ("sse", "avx", "fma", "amx", "f16c")
_GPUS = Path("/proc/driver/nvidia/gpus")


class DeviceNames(Frozen):
    """The devices of a machine.

    Attributes:
        processor: Its model.
        gpus: The models of its GPUs, one for each.
    """

    processor: str
    gpus: list[str]

    def for_trials(self, *, on_gpus: bool) -> str:
        """Return what trials run on; of GPUs that differ all models."""
        return " and ".join(dict.fromkeys(self.gpus)) if on_gpus else self.processor


def device_names(_question: str = "") -> str:
    """Return the `DeviceNames` of this machine as JSON, whatever is asked."""
    return DeviceNames(processor=processor_name(), gpus=gpu_names()).model_dump_json()


def gpu_names() -> list[str]:
    """List the models of the GPUs of this machine, as NVIDIA's driver for Linux has them."""
    if not _GPUS.is_dir():
        return []
    texts = [(folder / "information").read_text() for folder in sorted(_GPUS.iterdir())]
    found = [re.search(r"^Model:[ \t]*(.*)$", text, re.MULTILINE) for text in texts]
    return [each[1].strip() if each else "" for each in found]


def processor_name() -> str:
    """Return the processor's model name, as the system reports it."""
    return _processor_line("model name") or platform.processor() or platform.machine()


def instruction_sets() -> str:
    """List the vector instructions of the processor, which decide how kernels sum.

    Virtual machines of one model name may differ in them.
    """
    flags = _processor_line("flags").split()
    return " ".join(sorted(flag for flag in flags if flag.startswith(_VECTOR_FLAGS)))


def _processor_line(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return ""
    values = [line.split(":", 1)[1].strip() for line in lines if line.startswith(key)]
    return values[0] if values else ""
