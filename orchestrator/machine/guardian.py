"""A small process that outlives a killed driver just long enough to end what the driver had started.

Ray's own processes do not all notice that the driver was killed. Everything a driver starts inherits
a mark in its environment; when the guardian's standard input closes, it ends all that carry it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "MINIMA_SCRATCH"
_ROUNDS = 50
_ROUND_SECONDS = 0.1
_LONGEST_SECONDS = 60.0
"""A guardian that takes longer has hung, and is not waited for."""


@contextlib.contextmanager
def guarded(scratch: Path) -> Iterator[None]:
    """Mark what is started from here on; it is ended when the block or this process ends.

    Args:
        scratch: The mark's value, unique to this run; removed too if this process is killed.
    """
    environment = {key: value for key, value in os.environ.items() if key != MARK}
    guardian = subprocess.Popen(  # noqa: S603  # our own module, on our own interpreter
        [
            sys.executable,
            "-P",
            "-m",
            "orchestrator.machine.guardian",
            str(scratch),
            str(os.getpid()),
        ],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # a terminal's Ctrl-C is not for it
    )
    os.environ[MARK] = str(scratch)
    try:
        yield
    finally:
        del os.environ[MARK]
        try:
            guardian.communicate(timeout=_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            guardian.kill()
            guardian.wait()


def watch(scratch: Path, driver: int) -> None:
    """Wait until the driver closes our standard input, exiting or dying; then end what is left."""
    sys.stdin.buffer.read()
    for _ in range(_ROUNDS):
        left = [pid for pid in _marked(str(scratch)) if pid not in {driver, os.getpid()}]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)
    if os.getppid() != driver:
        shutil.rmtree(scratch, ignore_errors=True)


def _marked(scratch: str) -> Iterator[int]:
    """Yield the ids of processes that carry the mark, or whose directory is in the scratch folder.

    Ray's processes share the driver's working directory; some overwrite their environment with
    their title. Without /proc, those count whose command line names the folder.
    """
    if not Path("/proc/self/environ").exists():
        yield from _named_in_commands(scratch)
        return
    wanted, real = f"{MARK}={scratch}".encode(), str(Path(scratch).resolve())
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stands = str((folder / "cwd").readlink())
            environment = (folder / "environ").read_bytes().split(b"\0")
            if stands.startswith(real) or wanted in environment:
                yield int(folder.name)


def _named_in_commands(scratch: str) -> Iterator[int]:
    listed = subprocess.run(
        ["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if scratch in command:
            yield int(pid)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
