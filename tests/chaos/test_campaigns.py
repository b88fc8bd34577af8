"""Whatever is killed, filled, damaged or cut off during a sweep: nothing is lost, and no bit changes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tally import Report, table, total

pytestmark = pytest.mark.slow

AT_LEAST = {
    "driver SIGKILL": 30,
    "raylet SIGKILL": 10,
    "driver SIGKILL while it starts": 3,
    "driver SIGTERM once": 3,
    "driver SIGTERM twice": 3,
    "driver SIGINT once": 3,
    "driver SIGINT twice": 3,
    "driver SIGUSR1 once": 3,
    "driver SIGUSR1 twice": 3,
    "two drivers on one sweep": 3,
    "clock set back": 3,
    "attempt SIGKILL": 3,
    "inside a checkpoint write": 3,
    "inside a Parquet write": 3,
    "between write and rename": 3,
    "attempt SIGSTOP": 3,
    "slot SIGKILL": 3,
    "slot SIGSTOP": 3,
    "fork server SIGKILL": 3,
    "node drained": 3,
    "head killed": 3,
    "storage read-only": 3,
    "storage full": 3,
    "storage slow": 3,
    "storage cut": 3,
    "truncated": 3,
    "bit-flipped": 3,
    "garbage": 3,
    "of trials": 3,
    "of measurements": 3,
    "of checkpoints": 3,
    "of heartbeats": 3,
    "of plans": 3,
    "compaction SIGKILL": 3,
    "compaction": 3,
    "driver SIGKILL while it compacts": 3,
    "rows of an older version": 3,
}
"""How often a kind of fault happens at least; where no kind has the name, all whose names hold it."""


OF_ALL = pytest.mark.release
"""Half an hour and more; the campaign of the real trial takes minutes."""


@pytest.mark.parametrize(
    "name", [pytest.param("disk", marks=OF_ALL), pytest.param("bucket", marks=OF_ALL), "tensorflow"]
)
def test_every_invariant_holds_after_each_fault(campaigns, name):
    """On a local disk, on object storage, and with the real trial; checked inside the campaign."""
    code, said, _ = campaigns[name]
    assert code == 0, said[-6000:]


@OF_ALL
def test_every_kind_of_fault_happened_often_enough(campaigns, show_table):
    """Counted from what happened, not from what was planned."""
    reports = [Report.read(path) for _, _, path in campaigns.values() if path.exists()]
    show_table(table(reports))
    counts = total(reports)
    for words, least in AT_LEAST.items():
        found = counts[words] or sum(count for kind, count in counts.items() if words in kind)
        assert found >= least, f"{words}: {found}"


def test_the_real_trial_died_often_enough(campaigns):
    """Of its processes and at its places."""
    _, _, path = campaigns["tensorflow"]
    assert sum(Report.read(path).faults.values()) >= 10


def test_runs_merged_small_files_at_their_end(campaigns):
    """Where faults let a sweep come to its end; every invariant was checked after it."""
    for _, _, path in campaigns.values():
        assert Report.read(path).compactions["merged"] >= 1


@OF_ALL
def test_small_files_were_merged_again_and_again(campaigns):
    """Over all campaigns."""
    assert sum(Report.read(path).compactions["merged"] for _, _, path in campaigns.values()) >= 8


def test_only_two_drivers_do_work_twice(campaigns):
    """And of each trial no more than one attempt each."""
    for _, _, path in campaigns.values():
        report = Report.read(path)
        assert report.num_repeats <= 2 * report.faults.get("two drivers on one sweep", 0)


def test_failures_cost_little_more_than_their_restarts(campaigns):
    """The time attempts took together, the failed ones too, beside that of as many undisturbed ones."""
    for _, _, path in campaigns.values():
        report = Report.read(path)
        assert report.slot_seconds < 1.5 * report.undisturbed_seconds


def test_no_device_ever_held_more_than_one_gpus_worth(campaigns):
    """Four GPUs on two machines, whole and in halves, from the trials' own records."""
    for _, _, path in campaigns.values():
        report = Report.read(path)
        assert report.largest_load == 1.0
        assert report.num_devices >= 2


@OF_ALL
def test_what_lost_a_slot_is_told(campaigns):
    """Its process, its node, or a cloud that took the node away: the classes differ in their caps."""
    reports = [Report.read(path) for _, _, path in campaigns.values()]
    told = sum((Counter(report.lost_slots) for report in reports), Counter())
    assert told["worker_lost"] >= 3
    assert told["node_lost"] >= 5
    assert told["preempted"] >= 1
