"""Where a campaign happens: temporary folders, the environment of all its processes, the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from side_log import SIDE

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
MARK = "CHAOS_CAMPAIGN"
STORE = "store"
"""Name of the folder, or of the keys' beginning, that a store is in."""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Of the object storage on loopback, which believes everybody."""
GONE_SECONDS = 30.0
"""Within this time nothing may be left of what was killed."""


@dataclass(frozen=True)
class Place:
    """The folders of one campaign, all below one temporary folder with a short name.

    Attributes:
        root: Everything.
        side: What attempts note outside the store.
        home: HOME of all processes; libraries keep their caches there.
        stand: Working directory of drivers; must stay empty.
        temp: TMPDIR of all processes.
    """

    root: Path

    @property
    def side(self) -> Path:
        return self.root / "side"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def stand(self) -> Path:
        return self.root / "stand"

    @property
    def temp(self) -> Path:
        return self.root / "t"

    def assert_nothing_else_is_written(self) -> None:
        """Check that outside the store there is but what is known to be, and goes away again."""
        known = {
            self.stand: r"",
            self.home: r"\.cache|\.config|\.keras",  # Matplotlib's and Keras' are among these
            self.temp: r"ray\d*|minima-\w+-\d+-\w+",
        }
        for folder, pattern in known.items():
            others = [path for path in folder.iterdir() if not re.fullmatch(pattern, path.name)]
            assert not others, f"written outside the store: {others}"

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of drivers and cluster; their children inherit it."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RAY_", "MINIMA_", "CHAOS_", "AWS_"))
            and key != "CUDA_VISIBLE_DEVICES"
        }
        paths = [str(HERE), str(PROJECT), os.environ.get("PYTHONPATH", "")]
        return kept | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home),
            "TMPDIR": str(self.temp),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "5",
            **CREDENTIALS,
            SIDE: str(self.side),
            MARK: str(self.root),
            **more,
        }


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Make the folders; at the end kill what still carries the campaign's mark, and remove them."""
    found = Place(Path(tempfile.mkdtemp(prefix="c", dir="/tmp")))  # sockets need short paths
    # Ray writes the address of the newest cluster below its default folder, which it expects to be there
    for folder in (found.side, found.home, found.stand, found.temp, found.temp / "ray"):
        folder.mkdir()
    try:
        yield found
    finally:
        for process in marked(found):
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(found.root, ignore_errors=True)


class ClusterProcess:
    """The cluster as the campaign sees it: names of machines, and process ids of their raylets."""

    def __init__(self, place: Place, *, cpus: int, gpus: int, machines: int) -> None:
        folder = place.temp / f"ray{time.monotonic_ns() % 10**6}"
        folder.mkdir()
        self._errors = (place.root / "cluster-errors").open("ab")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                str(HERE / "chaos_cluster.py"),
                str(folder),
                f"{cpus}",
                f"{gpus}",
            ],
            env=place.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self.cpus = cpus
        self.address = str(self._hear()["address"])
        self.raylets: dict[str, int] = {}
        for number in range(machines):
            self.add(f"machine{number}")

    def add(self, machine: str) -> None:
        """Start a node; a dead one of the name is replaced."""
        self.raylets[machine] = int(str(self._ask(do="add", machine=machine)["raylet"]))

    def kill_raylet(self, machine: str) -> int:
        """Kill the node's raylet; its process id."""
        self._ask(do="kill", machine=machine)
        return self.raylets.pop(machine)

    def drain(self, machine: str, seconds: float) -> None:
        """Give notice of a preemption."""
        answer = self._ask(do="drain", machine=machine, seconds=seconds)
        assert answer["is_accepted"], answer

    def kill_head(self) -> None:
        """Kill the head node's processes."""
        self._ask(do="kill_head")

    def close(self) -> None:
        """End the cluster."""
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _ask(self, **request: object) -> dict[str, object]:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, object]:
        line = self._process.stdout.readline()
        assert line, (
            "the cluster's process has died: " + Path(self._errors.name).read_text()[-2000:]
        )
        answer: dict[str, object] = json.loads(line)
        return answer


def marked(place: Place) -> list[psutil.Process]:
    """List the living processes of a campaign, by the mark they inherited."""
    found = with_variable(MARK, str(place.root))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # some of Ray's processes write their title over their environment
            stands = str(Path(f"/proc/{process.pid}/cwd").readlink())
            if stands.startswith(f"{place.root}/") and is_running(process):
                found.append(process)
    return found


def with_variable(name: str, value: str) -> list[psutil.Process]:
    """List the living processes that were started with a variable in their environment."""
    wanted = f"{name}={value}".encode()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if wanted in environment and is_running(process):
                found.append(process)
    return found


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition; fail with a word of what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)


def is_running(process: psutil.Process) -> bool:
    """Say whether a process lives; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def seconds_until_gone(processes: list[psutil.Process], what: str) -> float:
    """Wait until none of some processes lives; how long that took."""
    started = time.monotonic()
    wait_until(
        lambda: not any(is_running(process) for process in processes),
        GONE_SECONDS,
        f"the end of {what}",
    )
    return time.monotonic() - started
