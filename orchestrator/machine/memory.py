"""What memory this process may take, and how often it looks for garbage there."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

_STATUS = Path("/proc/self/status")
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container, by the second and the first version of control groups."""

_USUAL = gc.get_threshold()
_SELDOM = (100_000, 20, 100)
"""Thresholds of Python's collector. Of the CPU of averaging 10,000 trials it took three tenths by its own (700, 10,
10), and found nothing."""


def collect_seldom() -> None:
    """Let Python look for garbage less often, in a process that keeps most of what it makes until it ends."""
    gc.set_threshold(*_SELDOM)


@contextlib.contextmanager
def collecting_as_usual() -> Iterator[None]:
    """Let Python look for garbage as it does by itself, in what may last for weeks."""
    former = gc.get_threshold()
    gc.set_threshold(*_USUAL)
    try:
        yield
    finally:
        gc.set_threshold(*former)


def usable_memory_bytes() -> int:
    """Return the memory of this machine, or of the container or job of a batch system that has less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return min([physical, *(int(limit) for limit in limits if limit.isdecimal())])


@contextlib.contextmanager
def limited_memory(num_bytes: int) -> Iterator[None]:
    """Let this process take so many bytes more than it has; beyond that nothing can be allocated.

    On Linux; without /proc there is no limit.
    """
    taken = _taken_bytes()
    if taken is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [limit for limit in (taken + num_bytes, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _taken_bytes() -> int | None:
    """Return what counts against the limit: memory of this process alone that it may write to."""
    try:
        found = re.search(r"^VmData:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
