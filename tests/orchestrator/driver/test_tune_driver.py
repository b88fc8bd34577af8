"""On a Ray cluster with faked GPUs each trial sees the devices it holds, and no other."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from workers.process.code_digest import HOME, code_digest

FAKES = Path(__file__).parents[1] / "fakes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        Path("/proc/driver/nvidia").is_dir(),
        reason="GPUs are faked, and this machine has real ones",
    ),
]


def drive(
    store: Path, share: float, num_tasks: int, num_gpus: int, num_taken: int = 0, **variables: str
) -> dict[str, list[str]]:
    """Run fake trials on the cluster; how they ended."""
    paths = [str(FAKES), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": os.pathsep.join(paths)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    environment |= variables
    command = [sys.executable, str(FAKES / "drive_on_cluster.py"), str(store)]
    done = subprocess.run(
        [*command, str(share), str(num_tasks), str(num_gpus), str(num_taken)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def seen_by_all(
    tmp_path: Path, share: float, num_tasks: int, num_gpus: int
) -> list[dict[str, object]]:
    """Run fake trials on the cluster; what each saw, and when."""
    store = tmp_path / "store"
    ended = drive(store, share, num_tasks, num_gpus)
    assert ended == {"statuses": ["done"] * num_tasks, "lost": [], "unstarted": []}
    notes = [json.loads(path.read_text()) for path in (store / "seen").iterdir()]
    assert len(notes) == num_tasks
    return notes


def together(notes: list[dict[str, object]]) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Give the pairs of trials that ran at the same time."""
    pairs = combinations(notes, 2)
    return [(a, b) for a, b in pairs if a["began"] < b["ended"] and b["began"] < a["ended"]]


def test_whole_gpus_are_never_shared(tmp_path):
    """Four GPUs, ten trials: whoever runs together sees different single devices."""
    notes = seen_by_all(tmp_path, 1, 10, 4)
    assert {note["devices"] for note in notes} == {"0", "1", "2", "3"}
    pairs = together(notes)
    assert pairs
    assert all(a["devices"] != b["devices"] for a, b in pairs)


def test_two_halves_share_one_gpu(tmp_path):
    """One GPU, two shares of a half: both run at once on it, and never a third."""
    notes = seen_by_all(tmp_path, 0.5, 6, 1)
    assert {note["devices"] for note in notes} == {"0"}
    pairs = together(notes)
    assert pairs
    for one in notes:
        assert sum(one in pair for pair in pairs) <= 2


def test_a_cpu_trial_sees_no_gpu(tmp_path):
    """Though the node has some."""
    notes = seen_by_all(tmp_path, 0, 4, 4)
    assert {note["devices"] for note in notes} == {"-1"}


@pytest.mark.parametrize("at_most", [1, 3])
def test_no_more_are_at_work_than_are_allowed(tmp_path, at_most):
    """Room for eight, and an end for all: at no moment more than so many run, and as many do where it is three."""
    store = tmp_path / "store"
    drive(store, 0, 7, 0, MAX_CONCURRENT=str(at_most), NUM_TOGETHER=str(at_most))
    notes = [json.loads(path.read_text()) for path in (store / "seen").iterdir()]
    assert len(notes) == 7
    at_once = [
        sum(other["began"] <= note["began"] < other["ended"] for other in notes) for note in notes
    ]
    assert max(at_once) == at_most


def test_a_drain_does_not_wait_for_slots_that_others_hold(tmp_path):
    """Two GPUs, and others hold both for as long as they like: every task is given back, none lost."""
    ended = drive(tmp_path / "store", 1, 12, 2, num_taken=2)
    names = [f"trial{10 + number}" for number in range(12)]
    assert ended == {"statuses": [], "lost": [], "unstarted": names}


@pytest.mark.release
def test_a_node_of_other_code_refuses_and_the_others_do_its_work(tmp_path, copy_packages):
    """A second node finds a changed copy of the packages: nothing it was given is done there or lost."""
    other = copy_packages(tmp_path / "other")
    with (other / "workers" / "trial.py").open("a") as file:
        file.write("# changed\n")
    path = os.pathsep.join([str(FAKES), str(other)])
    ended = drive(tmp_path / "store", 0, 14, 0, OTHER_CODE=path)
    assert (ended["lost"], ended["unstarted"]) == ([], [])
    assert ended["statuses"] == ["done"] * 14
    assert ended["refusals"]
    own, theirs = code_digest(HOME, ["workers"]), code_digest(other, ["workers"])
    host = socket.gethostname()
    sentence = f"node {host} holds other code ({theirs}) than the driver ({own}); install the same version there"
    assert set(ended["refusals"]) == {sentence}
    assert len(list((tmp_path / "store" / "seen").iterdir())) == 14
