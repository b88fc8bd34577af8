"""The processor of this machine: its name, its vector instructions, and whether oneDNN serves it unasked."""

from __future__ import annotations

import platform
from pathlib import Path

_VECTOR_FLAGS = ("sse", "avx", "fma", "amx", "f16c")

_LEAST = "avx2"
"""From here on oneDNN's kernels are faster than TensorFlow's others: a ResNet trains in three quarters of
the time on a Zen 3, of which convolutions took two to four times as long without it."""

_BY_DEFAULT = frozenset(
    {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
)
"""Instructions with which TensorFlow 2.21 calls oneDNN where nobody has asked for it."""


def processor_name() -> str:
    """Return the processor's model name, as the system reports it."""
    return _processor_line("model name") or platform.processor() or platform.machine()


def instruction_sets() -> str:
    """List the vector instructions of the processor, which decide how kernels sum.

    Virtual machines of one model name may differ in them.
    """
    flags = _processor_line("flags").split()
    return " ".join(sorted(flag for flag in flags if flag.startswith(_VECTOR_FLAGS)))


def must_ask_for_onednn() -> bool:
    """Return whether this processor gains from oneDNN, and TensorFlow does not call it by itself."""
    flags = set(instruction_sets().split())
    return _LEAST in flags and not flags & _BY_DEFAULT


def _processor_line(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return ""
    values = [line.split(":", 1)[1].strip() for line in lines if line.startswith(key)]
    return values[0] if values else ""
