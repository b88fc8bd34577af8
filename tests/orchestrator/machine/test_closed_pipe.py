"""A reader that leaves early, as `head` does, ends the command quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.machine.closed_pipe import EXIT_CLOSED_PIPE, quiet_when_closed

HOME = Path(__file__).resolve().parents[3]


def end_of(*arguments: str, folder: Path, **outputs: int) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a folder to its end."""
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    command = [sys.executable, "-P", "-m", "orchestrator", *arguments]
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | outputs
    return subprocess.run(command, cwd=folder, env=environment, check=False, **outputs)


@pytest.fixture
def closed_pipe():
    """The writing end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweeps", "--show", "quickstart"],  # text
        ["sweeps", "--json"],
        ["sweeps"],  # a table drawn by rich
        ["--help"],  # printed by typer
        ["query", "SELECT * FROM range(100000)", "--format", "csv"],
        ["query", "SELECT * FROM range(9)", "--format", "parquet"],  # bytes
    ],
    ids=" ".join,
)
def test_output_that_nobody_reads_ends_the_command_quietly(arguments, closed_pipe, tmp_path):
    """Not a word on standard error, and 141 as of a program ended by SIGPIPE."""
    (tmp_path / "minima-store/sweeps").mkdir(parents=True)
    ended = end_of(*arguments, folder=tmp_path, stdout=closed_pipe)
    assert ended.returncode == EXIT_CLOSED_PIPE
    assert set(ended.stderr.splitlines()) <= {"reading the store …".encode()}  # where it is slow


def test_errors_that_nobody_reads_end_it_too(closed_pipe, tmp_path):
    """Bad input told to a closed pipe."""
    ended = end_of("run", "no-such-sweep", folder=tmp_path, stderr=closed_pipe)
    assert (ended.returncode, ended.stdout) == (EXIT_CLOSED_PIPE, b"")


def test_another_broken_pipe_is_not_taken_for_it():
    """That of a socket or a child, while our own output is read: it goes on as it is."""
    with pytest.raises(BrokenPipeError), quiet_when_closed():
        raise BrokenPipeError


@pytest.mark.parametrize("code", [0, 3])
def test_other_exits_keep_their_code(code):
    """What does not come of a broken pipe is left alone."""
    with pytest.raises(SystemExit) as left, quiet_when_closed():
        sys.exit(code)
    assert left.value.code == code
