"""Who is alive, and where that can be told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.machine import processes
from orchestrator.machine.processes import is_alive, is_dead, process_space, space_digest


def test_who_is_alive(dead_pid, monkeypatch):
    """A process of another user is."""
    assert is_alive(os.getpid())
    assert not is_alive(dead_pid)

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(1)


def spaces_told(*inside: str) -> subprocess.CompletedProcess[str]:
    """Let a process, started by a command or plainly, tell its space, in full and short."""
    program = "from orchestrator.machine.processes import *; print(process_space(), space_digest())"
    environment = os.environ | {"PYTHONPATH": str(Path(processes.__file__).parents[2])}
    command = [*inside, sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_processes_side_by_side_are_in_one_space():
    """They tell the same names."""
    assert spaces_told().stdout.split() == [process_space(), space_digest()]
    assert process_space().startswith(f"{socket.gethostname()}/")


def test_a_container_is_a_space_of_its_own():
    """Though host name, machine and boot are the same."""
    told = spaces_told("unshare", "--user", "--map-root-user", "--pid", "--fork")
    if told.returncode:
        pytest.skip(f"no PID namespace can be made here: {told.stderr.strip()}")
    space, digest = told.stdout.split()
    assert space.split("/")[:-1] == process_space().split("/")[:-1]
    assert space != process_space()
    assert digest != space_digest()


def test_another_host_is_a_space_of_its_own(monkeypatch):
    """Folders too: a file system for temporary files may be shared."""
    space, digest = process_space(), space_digest()
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert process_space() != space
    assert space_digest() != digest


def test_where_the_system_tells_nothing(monkeypatch, tmp_path):
    """The host's name is all there is."""
    for name in ("_MACHINE", "_BOOT", "_NAMESPACE"):
        monkeypatch.setattr(processes, name, tmp_path / "none")
    assert process_space() == f"{socket.gethostname()}///"
    assert len(space_digest()) == 6


@pytest.fixture
def _on_a_machine(monkeypatch, tmp_path):
    """Stand on a machine whose name, boot and namespace are known."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    monkeypatch.setattr(processes, "_namespace", lambda: processes._FIRST_NAMESPACE)
    for name in ("_MACHINE", "_BOOT"):
        (tmp_path / name).write_text(f"{name.strip('_').lower()}\n")
        monkeypatch.setattr(processes, name, tmp_path / name)


@pytest.mark.usefixtures("_on_a_machine")
def test_who_is_dead_for_certain(dead_pid):
    """Who is gone here, and who ran on this very machine before it was started anew."""
    first = processes._FIRST_NAMESPACE
    assert process_space() == f"host/machine/boot/{first}"
    assert is_dead(dead_pid, process_space())
    assert not is_dead(os.getpid(), process_space())
    assert is_dead(os.getpid(), f"host/machine/earlier/{first}")
    for space in (
        f"other/machine/earlier/{first}",
        f"host/other/earlier/{first}",
        "host/machine/earlier/4026532000",  # a container: another may run on another machine
        "host/machine/boot/4026532000",
        "strange",
        "",
    ):
        assert not is_dead(dead_pid, space), space


@pytest.mark.usefixtures("_on_a_machine")
def test_a_machine_without_a_name_of_its_own_tells_no_earlier_boot(tmp_path):
    """Host names alone may be those of two machines."""
    (tmp_path / "_MACHINE").unlink()
    assert not is_dead(os.getpid(), f"host//earlier/{processes._FIRST_NAMESPACE}")
