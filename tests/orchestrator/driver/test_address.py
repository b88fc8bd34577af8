"""What is wrong with the address of a cluster is told within seconds, and nothing waits without end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.driver import address as address_module
from orchestrator.driver.address import resolve_address
from orchestrator.driver.head_question import refuse_no_head
from workers.contract.errors import Fault, UserError

MEND = (
    "start one with `ray start --head`, or mend the address; without one a local cluster is started"
)
SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
RESOLVE = "import sys; from orchestrator.driver.address import resolve_address as r; print(r(sys.argv[1]))"


def fault_of(address: str, seconds: float = 40.0) -> Fault:
    with pytest.raises(UserError) as caught:
        resolve_address(address, seconds)
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize(
    "address",
    ["", "head", "127.0.0.1", "127.0.0.1:", ":6379", "a:b", "127.0.0.1:99999999", "http://a:1",
     "127.0.0.1:6379/x", "user@127.0.0.1:6379/", "auto:1:2", "127.0.0.1:0"],
)  # fmt: skip
def test_an_address_of_another_form_is_refused(address):
    """With the form that is wanted; no connection is tried."""
    fault = fault_of(address)
    assert fault == Fault(f"{address!r} is not host:port", f"--address {address}", MEND)


def test_the_address_of_a_ray_client_is_refused(monkeypatch):
    """Told as RAY_ADDRESS where it comes from there."""
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    fault = fault_of("ray://head:10001")
    assert fault.what == "ray:// is the address of a Ray client, which cannot drive a sweep"
    assert fault.where == "RAY_ADDRESS=ray://head:10001"
    assert "host:6379" in fault.mend


def test_an_address_where_nobody_is():
    """Refused at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        refuse_no_head(f"127.0.0.1:{port}")


def answer_once(*parts: bytes) -> Iterator[int]:
    """Listen, answer whoever comes in some parts, or never where there is none, and give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            if not parts:
                silent.append(connection)
                return
            with connection:
                connection.recv(100)  # else what is unread would reset the connection
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.05)

        silent: list[socket.socket] = []
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
        for connection in silent:
            connection.close()


listening = contextlib.contextmanager(answer_once)


def test_an_address_where_somebody_else_is():
    """Told within seconds, whatever it says; Ray itself would wait for minutes."""
    for answer in (b"HTTP/1.0 505 HTTP Version not supported\r\n", b"SSH", b""):
        with listening(answer) as port, pytest.raises(ConnectionError, match="not Ray"):
            refuse_no_head(f"127.0.0.1:{port}")
    with listening() as port, pytest.raises(TimeoutError):
        refuse_no_head(f"127.0.0.1:{port}", seconds=0.2)


def test_an_address_where_ray_may_be(monkeypatch):
    """It begins with a frame of settings; under TLS it says nothing to us."""
    with listening(bytes([0, 0, 0]), bytes([4, 0, 0, 0, 0, 0])) as port:
        refuse_no_head(f"127.0.0.1:{port}")
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with listening() as port:
        refuse_no_head(f"127.0.0.1:{port}", seconds=0.2)


def test_nobody_at_the_address_is_told_as_it_is():
    """With the system's reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    fault = fault_of(address)
    assert fault.what.startswith("no Ray cluster answers: ")
    assert "refused" in fault.what
    assert (fault.where, fault.mend) == (f"--address {address}", MEND)


@contextlib.contextmanager
def mute_head() -> Iterator[str]:
    """Listen where Ray seems to be, begin as it does with everyone, and say nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    connection.sendall(SETTINGS_FRAME)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


def test_a_head_that_says_nothing_is_given_up():
    """Ray would ask for a minute, and its own retries for longer."""
    started = time.monotonic()
    with mute_head() as address:
        fault = fault_of(address, seconds=3.0)
    assert fault.what == "no Ray cluster answers: the head says nothing within 3 s"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_ends_the_question(number):
    """At once, though the head says nothing; Python's own answer to the signal counts here."""
    with mute_head() as address:
        command = [sys.executable, "-P", "-c", RESOLVE, address]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            time.sleep(2.0)  # it asks by now: an import of half a second, then the question
            process.send_signal(number)
            assert process.wait(timeout=5) != 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def head_with_token() -> Iterator[tuple[str, dict[str, str]]]:
    """A head on this machine that wants a token; its address, and the environment that has it."""
    folder = tempfile.mkdtemp(prefix="h-")  # short: the names of its sockets have 107 characters
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a" * 64,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": folder,
    }
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", "--head", f"--port={port}", "--num-cpus=1", "--block",
               "--include-dashboard=false"]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while asked(address, environment)[0] != 0:
            assert time.monotonic() < deadline, asked(address, environment)
            time.sleep(0.5)
        yield address, environment
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def asked(address: str, environment: dict[str, str]) -> tuple[int, str, str]:
    command = [sys.executable, "-P", "-c", RESOLVE, address]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.mark.slow
def test_the_cluster_of_this_machine_is_found(head_with_token):
    """By its address, and as "auto"."""
    address, environment = head_with_token
    port = address.rpartition(":")[2]
    for each in (address, "auto"):
        code, found, _ = asked(each, environment)
        assert code == 0
        assert found.endswith(f":{port}")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"RAY_AUTH_TOKEN": "b" * 64}, {"RAY_AUTH_TOKEN": ""}])
def test_a_refused_token_is_named(head_with_token, change, tmp_path):
    """A wrong one, and none at all, over which Ray aborts its process."""
    address, environment = head_with_token
    code, _, told = asked(address, environment | change | {"HOME": str(tmp_path)})
    assert code != 0
    assert "the cluster refuses our token: " in told
    assert "set RAY_AUTH_MODE=token" in told


@pytest.mark.slow
def test_a_cluster_of_other_machines_is_refused(head_with_token):
    """No node of it is a process of this machine: as from outside, where its processes are not seen."""
    address, environment = head_with_token
    unseen = (
        "from ray._private import services; services.find_node_ids = lambda: set();"
        "import sys, runpy; sys.argv = ['x', sys.argv[1]];"
        "from orchestrator.driver import head_question as q; print(q.head_facts(sys.argv[1]))"
    )
    command = [sys.executable, "-P", "-c", unseen, address]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "'is_here': False" in done.stdout, done.stderr


def test_a_machine_outside_the_cluster_is_told_the_ways_in(monkeypatch):
    """To run there, to submit there, or to become a node."""
    facts = {"address": "10.0.0.1:6379", "is_here": False}
    monkeypatch.setattr(address_module, "_ask_head", lambda *_: facts)
    fault = fault_of("10.0.0.1:6379")
    assert fault.what == "this machine is no node of the cluster at 10.0.0.1:6379"
    assert "`ray job submit`" in fault.mend
    assert fault.mend.endswith("`ray start --address=10.0.0.1:6379`")


def test_an_address_file_of_a_cluster_that_is_gone_is_told(tmp_path):
    """Of "auto": what the last `ray start` wrote stays behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{taken.getsockname()[1]}"
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(gone)
    started = time.monotonic()
    alone = (  # no other cluster runs on this machine
        "from ray._private import services; services.find_gcs_addresses = lambda: set();"
        "from orchestrator.driver import head_question as q; print(q.head_facts('auto'))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", alone],
        env=os.environ | {"RAY_TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "{'silence': '[Errno 111] Connection refused'}", done.stderr
    assert time.monotonic() - started < 20
