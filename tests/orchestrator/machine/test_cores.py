"""Cores are claimed by one slot at a time, and come back however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys

import pytest

from orchestrator.machine import cores
from orchestrator.machine.cores import claimed_cores, cores_environment, usable_cpus
from orchestrator.slots.slot import Slot

HOLD = """
import sys
from orchestrator.machine import cores
cores._NAME, cores.usable_cores = sys.argv[1].replace("@", chr(0)), lambda: [0, 1, 2, 3]
with cores.claimed_cores(2) as held:
    print(*held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def name(monkeypatch):
    """Four cores under names of this test's own, so that nothing else on the machine disturbs it."""
    if not sys.platform.startswith("linux"):
        pytest.skip("Linux alone has such sockets")
    chosen = f"@minima-test-{secrets.token_hex(4)}-"
    monkeypatch.setattr(cores, "_NAME", chosen.replace("@", "\0"))
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(cores, "_QUOTAS", ())
    return chosen


def test_two_claims_are_disjoint():
    """And are given back with the block."""
    with claimed_cores(1) as first, claimed_cores(2) as second:
        assert (first, second) == ((0,), (1, 2))
    with claimed_cores(4) as everything:
        assert everything == (0, 1, 2, 3)


@pytest.mark.parametrize(("quota", "held"), [("200000 100000", ()), ("400000 100000", (0,))])
def test_of_cores_that_containers_share_none_is_claimed(monkeypatch, tmp_path, quota, held):
    """Two CPUs' time on four cores: other containers' trials, whose claims are not seen, would be on the first too."""
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "_QUOTAS", ((tmp_path / "cpu.max",),))
    with claimed_cores(1) as found:
        assert found == held


def test_former_cores_come_before_others():
    """Where they are free; two that give theirs back at once do not take each other's."""
    with claimed_cores(1, (2,)) as first, claimed_cores(2, (0, 3)) as second:
        assert (first, second) == ((2,), (0, 3))
        with claimed_cores(1, (2,)) as third:
            assert third == (1,)
    with claimed_cores(2, (3,)) as found:
        assert found == (0, 3)


def test_too_few_free_cores_are_none():
    """What was free stays free for others."""
    with claimed_cores(3), claimed_cores(2) as second, claimed_cores(1) as third:
        assert second == ()
        assert third == (3,)
    with claimed_cores(5) as too_many:
        assert too_many == ()


def test_another_process_is_seen_and_its_death_too(name):
    """Killed by SIGKILL, it can give nothing back itself."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "0 1\n"
        with claimed_cores(2) as held, claimed_cores(1) as left:
            assert (held, left) == ((2, 3), ())
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with claimed_cores(4) as everything:
            assert everything == (0, 1, 2, 3)
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (("max 100000", "", ""), 4),
        (("200000 100000", "", ""), 2),
        (("350000 100000", "", ""), 3),
        (("50000 100000", "", ""), 1),
        (("900000 100000", "", ""), 4),
        (("", "-1", "100000"), 4),
        (("", "250000", "100000"), 2),
        (("", "250000", ""), 4),
        (("", "", ""), 4),
        (("nonsense", "", ""), 4),
    ],
)
def test_usable_cpus_are_those_whose_time_the_container_has(monkeypatch, tmp_path, texts, count):
    """By either version of control groups, in whole CPUs; those of the four cores where there is no limit."""
    paths = [tmp_path / str(number) for number in range(3)]
    for path, text in zip(paths, texts, strict=True):
        if text:
            path.write_text(f"{text}\n")
    monkeypatch.setattr(cores, "_QUOTAS", (paths[:1], paths[1:]))
    assert usable_cpus() == count


def test_a_child_is_told_its_cores():
    """Always, so that it inherits none."""
    assert cores_environment((0, 3)) == {"MINIMA_CORES": "0,3"}
    assert cores_environment(()) == {"MINIMA_CORES": ""}


def test_elsewhere_nothing_is_claimed(monkeypatch):
    """As on macOS."""
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    with claimed_cores(1) as held:
        assert held == ()


def test_a_trial_is_kept_to_its_cores(monkeypatch, make_task, tmp_path):
    """As many as it has threads; with more threads than cores it may use all, as its slot may."""
    allowed = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(cores, "usable_cores", lambda: allowed)
    seen = []
    with contextlib.closing(Slot()) as slot:
        for number, num_threads in enumerate((1, len(allowed) + 1)):
            store = tmp_path / str(number)
            task = make_task(0, store=str(store), num_threads=num_threads)
            assert slot.run(task, "-1").status == "done"
            (note,) = (store / "seen").iterdir()
            seen.append(json.loads(note.read_text())["may_use"])
    assert seen == [allowed[:1], allowed]
