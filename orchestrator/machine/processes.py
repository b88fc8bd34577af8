"""Which processes are alive, as far as this process can find out.

A process number means something only on one machine, since its boot, and within one PID namespace:
two containers may have the same host name, and each a process 7.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

_MACHINE = Path("/etc/machine-id")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_FIRST_NAMESPACE = "4026531836"
"""The initial namespace of Linux (PROC_PID_INIT_INO); a container has another."""


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OverflowError:  # no number of a process
        return False
    except PermissionError:
        return True
    return True


def process_space() -> str:
    """Return where process numbers mean the same as here: host, machine, boot and PID namespace."""
    return "/".join((socket.gethostname(), _text(_MACHINE), _text(_BOOT), _namespace()))


def is_dead(pid: int, space: str) -> bool:
    """Return whether a process is certainly dead: it ran here, or here before the last boot."""
    here = process_space()
    if space == here:
        return not is_alive(pid)
    (*place, boot, namespace), there = here.split("/"), space.split("/")
    is_this_machine = all(place) and there[:-2] == place
    return is_this_machine and there[-2] != boot and there[-1] == namespace == _FIRST_NAMESPACE


def space_digest() -> str:
    """Return six characters for host and PID namespace; not the boot, as folders outlive it."""
    name = f"{socket.gethostname()}/{_namespace()}"
    return hashlib.sha256(name.encode()).hexdigest()[:6]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # not Linux, or a container without the file
        return ""


def _namespace() -> str:
    try:
        return str(_NAMESPACE.stat().st_ino)
    except OSError:
        return ""
