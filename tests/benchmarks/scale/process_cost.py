"""What one process costs: its CPU, wall time, largest resident memory, and what it read.

A process counts with the children it waited for. Linux takes the memory of the process that starts another for
that one's own until it runs its program, so a benchmark must itself stay small: it imports little.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of one unit of `ru_maxrss`."""


@dataclass(frozen=True)
class ProcessCost:
    """The cost of one process, or the medians of several of the same command.

    Attributes:
        cpu_seconds: User and system time.
        cpu_spread_seconds: Largest less least CPU time of the repeats.
        peak_bytes: Largest resident set of any of the processes.
        read_bytes: Bytes asked of files and sockets, Python's own modules among them; None where the system
            does not count them, or where requests are counted.
        num_requests: Made to object storage; None for a store in a folder.
    """

    cpu_seconds: float
    cpu_spread_seconds: float
    wall_seconds: float
    peak_bytes: int
    read_bytes: int | None
    num_requests: int | None


def cost_of(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    repeats: int = 1,
    num_requests: Callable[[], int] | None = None,
) -> ProcessCost:
    """Run a command, several times one after another, and return the medians.

    Raises:
        SystemExit: The command did not end with 0.
    """
    costs = [_once(command, folder, environment, num_requests) for _ in range(repeats)]
    seconds = [cost.cpu_seconds for cost in costs]
    last = costs[-1]
    return ProcessCost(
        cpu_seconds=statistics.median(seconds),
        cpu_spread_seconds=max(seconds) - min(seconds),
        wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        read_bytes=last.read_bytes,
        num_requests=last.num_requests,
    )


def _once(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    num_requests: Callable[[], int] | None,
) -> ProcessCost:
    before = num_requests() if num_requests else 0
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=output
        )
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        read_bytes = _read_bytes(process.pid)  # while the system still knows it
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            told = output.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{told}")
    return ProcessCost(
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        cpu_spread_seconds=0.0,
        wall_seconds=wall_seconds,
        peak_bytes=usage.ru_maxrss * _UNIT,
        read_bytes=None if num_requests else read_bytes,
        num_requests=num_requests() - before if num_requests else None,
    )


def _read_bytes(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("rchar:"):
                return int(line.split()[1])
    return None
