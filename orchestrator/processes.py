"""Which processes are alive, as far as that can be told from here.

A process number means something only on one machine, since its boot, and within one PID namespace:
two containers may have the same host name, and each a process 7.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_NUM_DIGITS = 4  # of the namespace's number; Linux counts them up, so the last ones tell them apart


def is_alive(pid: int) -> bool:
    """Say whether a process of this machine runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_space() -> str:
    """Name where process numbers mean the same as here: host, boot and PID namespace."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:  # not Linux
        boot = ""
    return "/".join((socket.gethostname(), boot, pid_namespace()))


def pid_namespace() -> str:
    """Name the PID namespace in four characters; "0000" where the system has none."""
    try:
        number = _NAMESPACE.stat().st_ino
    except OSError:
        return "0" * _NUM_DIGITS
    return f"{number:0{_NUM_DIGITS}x}"[-_NUM_DIGITS:]
