"""A process that may not take more memory, or looks for garbage less often."""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path

import pytest

from orchestrator.machine import memory
from orchestrator.machine.memory import (
    collect_seldom,
    collecting_as_usual,
    limited_memory,
    usable_memory_bytes,
)

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
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (5000, 9000))
    monkeypatch.setattr(memory.resource, "setrlimit", lambda _, limits: asked.append(limits))
    with limited_memory(10**9):
        pass
    assert asked == [(5000, 9000), (5000, 9000)]


def test_without_proc_there_is_none(monkeypatch):
    """As on a Mac."""
    monkeypatch.setattr(memory, "_STATUS", Path("/no/such/file"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(1):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_garbage_is_looked_for_less_often_and_still_found():
    """50,000 lists that are kept start no search, 250,000 do."""
    before = gc.get_threshold()
    searches: list[str] = []
    watch = lambda phase, _: searches.append(phase)  # noqa: E731 - removed by identity below
    try:
        collect_seldom()
        gc.collect()
        gc.callbacks.append(watch)
        kept = [[number] for number in range(50_000)]
        assert searches == []
        kept += [[number] for number in range(200_000)]
        assert "stop" in searches
        searches.clear()
        with collecting_as_usual():
            kept += [[number] for number in range(5_000)]
        assert "stop" in searches
        assert gc.get_threshold() == (100_000, 20, 100)
    finally:
        gc.callbacks.remove(watch)
        gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("limits", "num_bytes"),
    [((), None), (("max",), None), (("4096",), 4096), (("max", "8192"), 8192)],
)
def test_usable_memory_is_that_of_the_container(monkeypatch, tmp_path, limits, num_bytes):
    """By either version of control groups; of the machine where there is no limit."""
    paths = [tmp_path / str(number) for number in range(2)]
    for path, limit in zip(paths, limits, strict=False):
        path.write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_LIMITS", paths)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert usable_memory_bytes() == (num_bytes or whole)
