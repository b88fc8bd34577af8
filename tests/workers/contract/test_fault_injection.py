"""Deliberate death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from workers.contract import fault_injection
from workers.contract.store import Store

REACH = """
import sys
from workers.contract import fault_injection
for place in sys.argv[1:]:
    fault_injection.reach(place)
    print(place, flush=True)
"""
WRITE = """
import sys
from workers.contract.store import Store
Store.open(sys.argv[1]).write_bytes("checkpoints/work/step", bytes(100_000))
"""


def run(code, *arguments, fault):
    environment = {**os.environ, fault_injection.VARIABLE: fault}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, check=False
    )


def test_the_process_kills_itself_at_the_nth_time():
    """Other places and earlier times are passed."""
    ended = run(REACH, "a", "b", "a", "b", "a", fault="a:2")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == [b"a", b"b"]


def test_several_places_are_asked_for_at_once(tmp_path):
    """The first that is reached often enough counts; those with tokens are caught once each."""
    ended = run(REACH, "a", "b", "a", fault="a:2,b:1")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == [b"a"]
    tokens = tmp_path / "a", tmp_path / "b"
    for token in tokens:
        token.touch()
    ended = run(REACH, "a", "b", fault=f"a:1:{tokens[0]},b:1:{tokens[1]}")
    assert (ended.returncode, ended.stdout.split()) == (0, [b"a", b"b"])


def test_nothing_happens_unless_asked_for(monkeypatch):
    """Without the variable, or at another place."""
    monkeypatch.delenv(fault_injection.VARIABLE, raising=False)
    fault_injection.reach("a")
    monkeypatch.setenv(fault_injection.VARIABLE, "b:1")
    fault_injection.reach("a")


def test_a_malformed_request_is_told(monkeypatch):
    """Rather than passed over, which would make a test of recovery test nothing."""
    monkeypatch.setenv(fault_injection.VARIABLE, "a")
    with pytest.raises(
        ValueError, match="MINIMA_FAULT must be <place>:<n> or <place>:<n>:<token>, not 'a'"
    ):
        fault_injection.reach("a")


def test_death_in_the_middle_of_a_write_leaves_no_file(tmp_path):
    """Only half a temporary file, which no reader sees."""
    ended = run(WRITE, str(tmp_path), fault="checkpoint_write:1")
    assert ended.returncode == -signal.SIGKILL
    assert Store.open(str(tmp_path)).names("checkpoints/work") == []
    (left,) = (tmp_path / "checkpoints" / "work").iterdir()
    assert left.name.startswith(".step.")
    assert left.stat().st_size == 50_000
