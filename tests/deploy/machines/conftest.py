"""Up to four machines on one: namespaces of Linux on a bridge of their own, 10.77.0.2-5.

Each has its own address, processes, host name, /dev/shm and folder for temporary files, which nobody else sees;
what is below `shared` they share.
They live as long as the process that made them: nothing of them is left when it is gone, however it ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from workers.contract.orders import Heartbeat
from workers.contract.store import Store
from workers.process.code_digest import HOME

_MACHINE = Path(__file__).with_name("machine")
_HUB = (
    "ip link add bridge type bridge && ip addr add 10.77.0.1/24 dev bridge && ip link set bridge up"
    " && ip link set lo up && echo up && exec sleep infinity"
)
_LISTEN = """
import socket
listening = socket.create_server(("10.77.0.1", 5000))
socket.send_fds(socket.socket(fileno=0), [b"up"], [listening.fileno()])
"""
_DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
_PATIENCE_SECONDS = 60.0
_LONG_TRIALS = """
name: {name}
model: {{name: mlp, hidden_units: [32]}}
dataset: {{name: digits, num_train: 600}}
loss: kld
grid: {{batch_size: [50], learning_rate: [0.05]}}
seeds: {num_trials}
training: {{epochs: 1200}}
measure: [losses]
resources: {{gpus: 0, cpus: 1}}
"""


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


class Rig:
    """The machines, made one by one; each has a number, which ends its address and its name.

    Attributes:
        minima: Our command.
        address: Of the cluster whose head is on machine 2.
        secret: Its token.
        patience_seconds: For what takes Ray, TensorFlow and trials.
    """

    minima = (sys.executable, "-P", "-m", "orchestrator")
    address = "10.77.0.2:6379"
    secret = "a" * 64
    patience_seconds = 240.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir()
        self._running: list[subprocess.Popen[str]] = []
        self._machines: dict[int, subprocess.Popen[str]] = {}
        command = [*_DIES_WITH_US, "unshare", "--net", "bash", "-c", _HUB]
        self._hub = self._start(command, stdout=subprocess.PIPE)

    def why_not(self) -> str | None:
        """Return why no machines can be had here; None where they can."""
        pipe = self._hub.stdout
        if pipe is not None and pipe.readline() == "up\n":
            return None
        self._hub.wait(timeout=_PATIENCE_SECONDS)
        return (self.folder / "errors").read_text().strip() or "no network of one's own"

    def boot(self, number: int, command: Sequence[str], **variables: str) -> None:
        """Start a machine; its first command is no shell's, and the machine goes with it."""
        folder = self.folder / f"node{number}"
        folder.mkdir()
        words = [str(_MACHINE), str(self._hub.pid), str(number), str(folder), *command]
        environment = self.environment(number, variables)
        self._machines[number] = self._start([*_DIES_WITH_US, *words], env=environment)
        wait_for(self.folder / f"node{number}.is-up", self.errors)

    def start_ray(self, number: int, *options: str, **variables: str) -> None:
        """Start a machine with a node of a cluster on it, and wait until it says that it runs."""
        is_up = "Ray runtime started."
        num_before = self.errors().count(is_up)
        own = [f"--node-ip-address=10.77.0.{number}", "--num-gpus=0", "--block"]
        command = [str(Path(sys.executable).with_name("ray")), "start", *own, *options]
        self.boot(number, command, RAY_AUTH_TOKEN=self.secret, **variables)
        self.wait_until(lambda: self.errors().count(is_up) > num_before)

    def start_head(self, num_cpus: int, **variables: str) -> None:
        """Start the head of a cluster on machine 2."""
        head = ["--head", "--port=6379", "--include-dashboard=false", "--disable-usage-stats"]
        self.start_ray(2, *head, f"--num-cpus={num_cpus}", **variables)

    def start_node(self, number: int, num_cpus: int, **variables: str) -> None:
        """Start a node of the cluster on another machine."""
        self.start_ray(number, f"--address={self.address}", f"--num-cpus={num_cpus}", **variables)

    def share_long_trials(self, name: str, num_trials: int) -> None:
        """Write a sweep of one cell, long enough that its trials are at work when something befalls a machine."""
        (self.shared / "sweep.yaml").write_text(
            _LONG_TRIALS.format(name=name, num_trials=num_trials)
        )

    def lose(self, number: int) -> None:
        """Take a machine away with all that runs on it, as when its power goes."""
        os.kill(self.first_process(number), signal.SIGKILL)

    def programs(self, number: int) -> set[str]:
        """Return the names of what runs on a machine."""
        below = psutil.Process(self.first_process(number)).children(recursive=True)
        return {
            process.info["name"] for process in psutil.process_iter(["name"]) if process in below
        }

    def on(self, number: int, command: Sequence[str], **variables: str) -> subprocess.Popen[str]:
        """Start another process on a machine that is up."""
        inside = ["nsenter", "-t", str(self.first_process(number)), "-n", "-p", "-m", "-u", "-i"]
        inside += ["env", f"--chdir={self.shared}"]  # which entering has left
        environment = self.environment(number, variables)
        pipe = subprocess.PIPE
        return self._start([*_DIES_WITH_US, *inside, *command], env=environment, stdout=pipe)

    def environment(self, number: int, variables: Mapping[str, str]) -> dict[str, str]:
        """Return what a process of a machine is told: our code first, unless it is told otherwise."""
        own = self.folder / f"node{number}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        told = {"PYTHONPATH": str(HOME), "HOME": str(own), "TMPDIR": str(own), "PATH": path}
        return os.environ | told | {"RAY_AUTH_MODE": "token", "PYTHONUNBUFFERED": "1"} | variables

    def first_process(self, number: int) -> int:
        """Return the first process of a machine, by its number outside."""
        (first,) = _children(self._machines[number].pid)
        return first

    def children(self, number: int, pid: int) -> list[psutil.Process]:
        """Return the processes below one of a machine, which has the number `pid` there."""
        for process in psutil.Process(self.first_process(number)).children(recursive=True):
            status = Path(f"/proc/{process.pid}/status").read_text()
            if f"NSpid:\t{process.pid}\t{pid}\n" in status:
                return process.children(recursive=True)
        raise LookupError(f"machine {number} has no process {pid}")

    def send(self, process: subprocess.Popen[str], number: int) -> None:
        """Send a signal to what was started on a machine that is up."""
        (inside,) = _children(process.pid)
        os.kill(inside, number)

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a command: its code, and what it printed."""
        out, _ = process.communicate(timeout=self.patience_seconds)
        return process.returncode, out

    def outside(
        self, command: Sequence[str], variables: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        """Start a process beside the machines, as a batch system would: it sees what is shared."""
        environment = self.environment(0, variables)
        return self._start([*_DIES_WITH_US, *command], env=environment)

    @contextmanager
    def served(self, app: object) -> Iterator[str]:
        """Serve a web application of this process to the machines as well, at the bridge's address."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            inside = ["nsenter", "-t", str(self._hub.pid), "-n", sys.executable, "-c", _LISTEN]
            self._start([*_DIES_WITH_US, *inside], stdin=theirs)
            _, (listening,), _, _ = socket.recv_fds(ours, 2, 1)
        # a socket stays in the network it was made in, whoever holds it
        server = make_server(
            "10.77.0.1", 5000, app, threaded=True, fd=listening, request_handler=_Quiet
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield "10.77.0.1:5000"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            os.close(listening)

    def errors(self) -> str:
        """Return what all processes have written as errors so far."""
        return (self.folder / "errors").read_text()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Ask twice a second, for as long as there is patience."""
        deadline = time.monotonic() + self.patience_seconds
        while not is_so():
            assert time.monotonic() < deadline, self.errors()
            time.sleep(0.5)

    def said(self) -> str:
        """Return what all processes have written as errors so far, as one line."""
        return " ".join(self.errors().split())

    def weights(self, store: str) -> dict[str, str]:
        """Return the digest of each trial's weights in a store below `shared`."""
        rows = Store.open(str(self.shared / store)).read("trials").to_pylist()
        return {row["trial_id"]: row["weights_sha256"] for row in rows}

    def undisturbed(self, number: int, sweep: str = "sweep.yaml") -> dict[str, str]:
        """Run a sweep below `shared` on one machine alone; the digest of each trial's weights."""
        run = self.on(number, [*self.minima, "run", sweep, "--store", "alone"], RAY_AUTH_MODE="")
        assert self.finish(run)[0] == 0, self.errors()
        return self.weights("alone")

    @staticmethod
    def attempts(store: Store) -> list[Heartbeat]:
        """Return what all attempts say, in their order."""
        told = filter(None, map(store.read_json, store.names("attempts")))
        beats = [Heartbeat.model_validate(each) for each in told]
        return sorted(beats, key=lambda beat: beat.attempt_id)

    def running(self, store: Store) -> dict[str, Heartbeat]:
        """Return the attempts that say they run, by the name of their machine."""
        return {beat.host: beat for beat in self.attempts(store) if beat.state == "running"}

    @contextmanager
    def halted(self, store: Store, *hosts: str) -> Iterator[dict[str, Heartbeat]]:
        """Wait until these machines train, and let none go on meanwhile: whoever joins finds trials left."""
        self.wait_until(lambda: set(self.running(store)) >= set(hosts))
        found = self.running(store)
        attempts = [
            process
            for beat in found.values()
            for process in self.children(int(beat.host.removeprefix("node")), beat.pid)
        ]
        for process in attempts:
            process.suspend()
        try:
            yield found
        finally:
            for process in attempts:
                with suppress(psutil.NoSuchProcess):  # lost with its machine
                    process.resume()

    def down(self) -> None:
        """End every process; when its first one is gone a machine has none, and its namespaces go."""
        for process in reversed(self._running):
            with process:  # closes its pipe and waits
                for pid in _children(process.pid) or [process.pid]:
                    if process.poll() is None:
                        os.kill(pid, signal.SIGKILL)

    def _start(self, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
        with (self.folder / "errors").open("a") as errors:
            where = {"stdout": errors, "stderr": errors, "text": True, "cwd": self.shared}
            self._running.append(subprocess.Popen(command, **(where | options)))
        return self._running[-1]


def wait_for(path: Path, errors: object = lambda: "") -> None:
    """Wait until a file or folder is there."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}: {errors()}"
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


@pytest.fixture
def rig():
    """Make the machines' network; skip where this machine or its user may not."""
    missing = [name for name in ("ip", "nsenter", "setpriv", "unshare") if not shutil.which(name)]
    if missing:
        pytest.skip(f"NO TEST OF SEVERAL MACHINES: {', '.join(missing)} not found (Linux only)")
    folder = Path(tempfile.mkdtemp(prefix="rig-"))  # short: it holds sockets
    machines = Rig(folder)
    try:
        if (reason := machines.why_not()) is not None:
            pytest.skip(f"NO TEST OF SEVERAL MACHINES: they need root and namespaces ({reason})")
        yield machines
    finally:
        machines.down()
        shutil.rmtree(folder)
