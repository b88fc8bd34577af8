"""Who is alive, and where that can be told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import processes
from orchestrator.processes import is_alive, pid_namespace, process_space


def test_who_is_alive(monkeypatch):
    """A process of another user is."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_alive(os.getpid())
    assert not is_alive(ended.pid)

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(1)


def space_of_another_process(*inside: str) -> subprocess.CompletedProcess[str]:
    """Let a process, started by a command or plainly, tell its space."""
    program = "from orchestrator.processes import process_space; print(process_space())"
    environment = os.environ | {"PYTHONPATH": str(Path(processes.__file__).parents[1])}
    command = [*inside, sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_processes_side_by_side_are_in_one_space():
    """They tell the same name, which begins with the host's."""
    assert space_of_another_process().stdout.strip() == process_space()
    assert process_space().startswith(f"{socket.gethostname()}/")


def test_a_container_is_a_space_of_its_own():
    """Though host name and boot are the same."""
    told = space_of_another_process("unshare", "--user", "--map-root-user", "--pid", "--fork")
    if told.returncode:
        pytest.skip(f"no PID namespace can be made here: {told.stderr.strip()}")
    here, there = process_space().split("/"), told.stdout.strip().split("/")
    assert there[:2] == here[:2]
    assert there[2] != here[2]


def test_where_the_system_tells_neither_boot_nor_namespace(monkeypatch, tmp_path):
    """The host's name is all there is."""
    monkeypatch.setattr(processes, "_BOOT", tmp_path / "none")
    monkeypatch.setattr(processes, "_NAMESPACE", tmp_path / "none")
    assert pid_namespace() == "0000"
    assert process_space() == f"{socket.gethostname()}//0000"
