"""A process that may not take more memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from orchestrator.machine import memory_limit
from orchestrator.machine.memory_limit import limited_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")


@linux
def test_more_cannot_be_allocated_and_afterwards_can():
    """300 MB where 100 are left, then without the limit."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(MemoryError), limited_memory(10**8):
        bytearray(3 * 10**8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(bytearray(3 * 10**8)) == 3 * 10**8


@linux
def test_a_lower_limit_of_the_user_stays(monkeypatch):
    """What a shell or a scheduler allows is never raised."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(memory_limit.resource, "getrlimit", lambda _: (5000, 9000))
    monkeypatch.setattr(memory_limit.resource, "setrlimit", lambda _, limits: asked.append(limits))
    with limited_memory(10**9):
        pass
    assert asked == [(5000, 9000), (5000, 9000)]


def test_without_proc_there_is_none(monkeypatch):
    """As on a Mac."""
    monkeypatch.setattr(memory_limit, "_STATUS", Path("/no/such/file"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(1):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
