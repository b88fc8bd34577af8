"""Cores that this process may use, and those that a trial holds alone, whatever other slots, runs and users do there.

A claim is an abstract Unix socket named after the core: only one process can bind the name, and the
kernel releases it when that process ends, however it dies. No file is left behind. The name is
known within one network namespace: two containers do not see each other's claims. Where they are
given cores these differ; where they are given time of all cores, none is claimed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from workers.process.pinning import CORES_VARIABLE

_NAME = "\0minima-core-"

_QUOTAS = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)
"""Time of all CPUs in each period, and the period, by the second and the first version of control groups."""


@contextlib.contextmanager
def claimed_cores(count: int, former: Collection[int] = ()) -> Iterator[tuple[int, ...]]:
    """Hold `count` free cores during the block, former ones before others; none at all where fewer are free.

    A trial on fewer cores than it has threads would be slower than one that may use all of them, and trials
    of several containers would all be on the first cores. On the cores of the trial before, its process goes on.
    """
    with contextlib.ExitStack() as claims:
        has_cores = usable_cpus() >= len(usable_cores())
        cores = _claim(count, former, claims) if has_cores else ()
        if len(cores) < count:
            claims.close()
            cores = ()
        yield cores


def usable_cores() -> list[int]:
    """List the cores this process may use; none but on Linux, with its affinities and sockets."""
    return sorted(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else []


def usable_cpus() -> int:
    """Count the CPUs this process has the time of, at least 1.

    A batch system may have made its cores fewer than there are, and a container may have less of their time: of
    that whole CPUs count, as Ray counts them.
    """
    present = len(usable_cores()) or os.cpu_count() or 1
    return max(1, int(min([present, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Yield how many CPUs' time the control groups of this process allow."""
    for files in _QUOTAS:
        words = " ".join(path.read_text() for path in files if path.is_file()).split()
        if len(words) == 2 and all(word.isdecimal() for word in words):  # not max, nor -1
            quota, period = map(int, words)
            yield quota / period


def cores_environment(cores: Sequence[int]) -> dict[str, str]:
    """Return the variable that names a child's cores; always set, so that none are inherited."""
    return {CORES_VARIABLE: ",".join(str(core) for core in cores)}


def _claim(count: int, former: Collection[int], claims: contextlib.ExitStack) -> tuple[int, ...]:
    cores: list[int] = []
    for core in sorted(usable_cores(), key=lambda core: core not in former):
        if len(cores) == count:
            break
        with contextlib.suppress(OSError):  # claimed by another, or no socket is available
            claim = claims.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            claim.bind(f"{_NAME}{core}")
            cores.append(core)
    return tuple(sorted(cores))
