from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from orchestrator.machine.processes import process_space
from orchestrator.running import compaction
from orchestrator.running.compaction import COMPACTING, compact_if_many, compact_store
from workers.contract.compaction_lock import LOCK_PATH, Lock
from workers.contract.errors import StoreError
from workers.contract.schema import VIEWS
from workers.contract.store import Store

KILLED_IN_COMPACTION = """
import os, signal, sys
from orchestrator.running.compaction import compact_store
from workers.contract.store import Store
store = Store.open(sys.argv[1])
store.each = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
compact_store(store)
"""


@pytest.fixture
def local_store(tmp_path):
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def fill():
    """Put three sweeps' trials, a file each, into a store."""

    def put(store):
        for number in range(3):
            row = dict.fromkeys(VIEWS["sweep_trials"].names)
            row |= {"sweep": "toy", "revision": f"r{number}", "trial_id": "t1"}
            rows = pa.Table.from_pylist([row], schema=VIEWS["sweep_trials"])
            store.commit("sweep_trials", ("toy", f"r{number}"), f"a{number}", rows)

    return put


@pytest.fixture
def steps():
    """Note what was told to take its time."""

    class Steps(list):
        @contextlib.contextmanager
        def __call__(self, text):
            self.append(text)
            yield

    return Steps()


def _lock(pid, space):
    return Lock(owner="node7:1:ab", taken_at=datetime.now(UTC), pid=pid, process_space=space)


def _dead_pid():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_so_many_small_files_are_merged_and_fewer_are_not(local_store, fill, steps):
    """From the bound on; told in one line."""
    fill(local_store)
    before = local_store.read("sweep_trials")
    assert compact_if_many(local_store, 4, steps) == ""
    assert (len(local_store.names("sweep_trials")), steps) == (3, [])
    told = compact_if_many(local_store, 3, steps)
    assert told == "3 small files of the store merged into 1"
    assert steps == [COMPACTING]
    assert len(local_store.names("sweep_trials")) == 1
    assert local_store.read("sweep_trials").equals(before)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreError("cannot write a in the store b:\nno space"), "cannot write a in the store b: no space"),
        (MemoryError(), "MemoryError"),
        (KeyError("a bug of ours"), "'a bug of ours'"),
    ],
)  # fmt: skip
def test_whatever_fails_is_one_line(local_store, fill, monkeypatch, error, reason):
    """The store out of reach or full, too little memory, a bug: what a run has done stands."""
    fill(local_store)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(compaction, "compact", fail)
    told = compact_if_many(local_store, 3, contextlib.nullcontext)
    assert told == f"the small files of the store stay as they are: {reason}"
    assert len(local_store.names("sweep_trials")) == 3


def test_a_store_that_cannot_be_listed_is_one_line_too(local_store, steps, monkeypatch):
    """Before anything was counted."""
    monkeypatch.setattr(local_store, "names", lambda _: (_ for _ in ()).throw(StoreError("gone")))
    told = compact_if_many(local_store, 3, steps)
    assert told == "the small files of the store stay as they are: gone"


def test_of_two_drivers_one_compacts(local_store, fill, steps):
    """The other is told who does; a lock of a living process, or of another machine, is left alone."""
    fill(local_store)
    for lock in (_lock(os.getpid(), process_space()), _lock(_dead_pid(), "other/machine/boot/ns")):
        local_store.write_json(LOCK_PATH, lock.model_dump(mode="json"))
        told = compact_if_many(local_store, 3, steps)
        assert told.startswith(
            "the small files of the store stay as they are: the store is being compacted by "
            "node7:1:ab since 2"
        )
        assert len(local_store.names("sweep_trials")) == 3


def test_the_lock_of_a_killed_compaction_waits_for_nobody(local_store, fill):
    """Its process is seen to be dead: the next one merges what it left, at once."""
    fill(local_store)
    before = local_store.read("sweep_trials")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_COMPACTION, local_store.uri], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert local_store.read_json(LOCK_PATH)["process_space"] == process_space()
    compact_store(local_store)
    assert local_store.names("control") == []
    assert len(local_store.names("sweep_trials")) == 1
    assert local_store.read("sweep_trials").equals(before)
