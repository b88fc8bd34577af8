"""Whatever is killed, wherever it is: the same command finishes, and every value is as undisturbed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.running.foreground import compare
from workers.contract.store import Store

pytestmark = pytest.mark.slow

SWEEP = """
name: toy
model: {name: mlp, hidden_units: [32]}
dataset: {name: digits, num_train: 400}
loss: kld
grid: {batch_size: [32], learning_rate: [0.1]}
seeds: 2
training: {epochs: 60, momentum: 0.5, weight_decay: 1.0e-3}
measure: [losses, {name: traces, replicate_examples: 1000}]
"""
PLACES = ("training_chunk:4", "checkpoint_write:2", "epochs_committed:1", "measurement_batch:2")
"""In training, inside a checkpoint write, inside a commit, inside a measurement."""
COMMITS = ("model_write:1", "epoch_write:1", "trial_write:1", "measurement_write:1")
"""Inside the write of each committed file."""
LONGEST_SECONDS = 300


class Run:
    """A driver in a process of its own, and everything it has started."""

    def __init__(self, folder: Path, *faults: str) -> None:
        self.store = folder / "store"
        self.tokens = [
            folder / f"token-{time.monotonic_ns()}-{place}" for place in range(len(faults))
        ]
        environment = {key: value for key, value in os.environ.items() if key != "MINIMA_FAULT"}
        if faults:
            wanted = zip(faults, self.tokens, strict=True)
            environment["MINIMA_FAULT"] = ",".join(f"{fault}:{token}" for fault, token in wanted)
        self.output = (folder / "output").open("ab")
        sweep = folder / "toy.yaml"
        sweep.write_text(SWEEP)
        options = ("--store", str(self.store), "--checkpoint-seconds", "0.1")
        self.driver = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", str(sweep), *options],
            env=environment,
            stdout=self.output,
            stderr=self.output,
            start_new_session=True,
        )
        self.started: set[psutil.Process] = set()

    def wait_for_child(self) -> psutil.Process:
        """Wait until a child stands at the place of a fault; give the child, each once."""
        self.wait(lambda: any(map(_is_written, self.tokens)))
        token = next(filter(_is_written, self.tokens))
        self.tokens.remove(token)
        return psutil.Process(int(token.read_text()))

    def wait(self, condition) -> None:
        """Wait for a condition while noting every process below the driver."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            assert self.driver.poll() is None, "the driver left"
            self.note_processes()
            time.sleep(0.05)

    def note_processes(self) -> None:
        try:
            self.started |= set(psutil.Process(self.driver.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def finish(self) -> int:
        """Wait for the driver's own end; its exit code."""
        code = self.driver.wait(LONGEST_SECONDS)
        self.output.close()
        return code

    def kill(self, victim: str, child: psutil.Process | None = None) -> None:
        """Kill one process of the chain driver → slot → fork server → child, or all of them."""
        self.note_processes()
        if victim == "driver":
            self.driver.kill()
        elif victim == "everything":
            for process in [psutil.Process(self.driver.pid), *self.started]:
                _kill(process)
        elif victim == "child":
            child.kill()
        elif victim == "fork server":
            child.parent().kill()
        else:
            child.parent().parent().kill()

    def assert_no_orphans(self) -> None:
        """Every process the driver had started is gone within half a minute."""
        self.driver.wait(30)
        self.output.close()
        _, alive = psutil.wait_procs(list(self.started), timeout=30)
        assert [process.cmdline() for process in alive if _is_running(process)] == []


def _is_written(token: Path) -> bool:
    return token.exists() and token.read_text() != ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The store of a run that nobody killed."""
    run = Run(tmp_path_factory.mktemp("undisturbed"))
    assert run.finish() == 0, (run.store.parent / "output").read_text()
    return Store.open(str(run.store))


def assert_equal_bits(undisturbed: Store, folder: Path) -> None:
    """Every committed value, times and host aside, equals the undisturbed run's."""
    disturbed = Store.open(str(folder / "store"))
    trial_ids = undisturbed.read("trials")["trial_id"].to_pylist()
    assert len(trial_ids) == 2
    assert [compare(undisturbed, disturbed, trial_id) for trial_id in trial_ids] == [[], []]
    assert disturbed.names("checkpoints", recursive=True) == []


def test_a_dead_driver_costs_nothing_but_time(tmp_path, undisturbed):
    """Killed at each place in turn, alone or with all it has started, then run again: no orphan, and the same bits."""
    for place, victim in zip(PLACES, ["driver", "everything"] * 2, strict=True):
        run = Run(tmp_path, place)
        run.wait_for_child()
        run.kill(victim)
        run.assert_no_orphans()
    assert Run(tmp_path).finish() == 0
    assert_equal_bits(undisturbed, tmp_path)


@pytest.mark.parametrize("places", [PLACES, COMMITS])
def test_dead_children_are_replaced_at_once(tmp_path, undisturbed, places):
    """The slot tries again within the same run, wherever they die."""
    run = Run(tmp_path, *places)
    for _ in places:
        run.kill("child", run.wait_for_child())
    assert run.finish() == 0
    run.assert_no_orphans()
    assert_equal_bits(undisturbed, tmp_path)
    failures = Store.open(str(run.store)).read("failures").to_pylist()
    assert [row["failure_class"] for row in failures] == ["worker_lost"] * len(places)


@pytest.mark.parametrize(
    ("victim", "place"), [("slot", PLACES[0]), ("slot", PLACES[3]), ("fork server", PLACES[1])]
)
def test_a_dead_slot_is_replaced(tmp_path, undisturbed, victim, place):
    """Ray starts another slot, the slot another fork server, within the same run."""
    run = Run(tmp_path, place)
    child = run.wait_for_child()
    run.kill(victim, child)
    assert run.finish() == 0
    run.assert_no_orphans()
    assert_equal_bits(undisturbed, tmp_path)
    (failure,) = Store.open(str(run.store)).read("failures").to_pylist()
    assert failure["failure_class"] == "worker_lost"
    assert ("actor died" in failure["message"]) == (victim == "slot")


def test_killed_at_some_time(tmp_path, undisturbed):
    """Everything killed some seconds after the first attempt began, then run again."""
    run = Run(tmp_path)
    run.wait(lambda: any((run.store / "attempts").glob("*.json")))
    time.sleep(2.5)
    run.kill("everything")
    run.assert_no_orphans()
    assert Run(tmp_path).finish() == 0
    assert_equal_bits(undisturbed, tmp_path)


def test_a_signal_drains_and_the_same_command_resumes(tmp_path, undisturbed):
    """SIGTERM: trials save and leave, exit code 3; what was trained is not trained twice."""
    run = Run(tmp_path, PLACES[0])
    run.wait_for_child()
    run.driver.send_signal(signal.SIGTERM)  # passed on to the child, which stands in training
    assert run.finish() == 3
    run.assert_no_orphans()
    saved = [p.name for p in (run.store / "checkpoints").rglob("step-*.npz")]
    assert saved
    assert Run(tmp_path).finish() == 0
    logs = "".join(path.read_text() for path in (run.store / "logs").iterdir())
    resumed = [int(step) for step in re.findall(r"resumed at step (\d+)", logs)]
    newest = max(int(re.match(r"step-(\d+)", name)[1]) for name in saved)
    assert newest in resumed
    assert_equal_bits(undisturbed, tmp_path)


def test_a_signal_to_the_whole_group_drains_too(tmp_path):
    """As of `timeout 8h minima run`, or a shell's `kill %1`: Ray's own processes are not of the driver's group."""
    run = Run(tmp_path, PLACES[0])
    run.wait_for_child()
    os.killpg(run.driver.pid, signal.SIGTERM)
    assert run.finish() == 3
    run.assert_no_orphans()
    assert "the cluster is lost" not in (tmp_path / "output").read_text()
    assert list((run.store / "checkpoints").rglob("step-*.npz"))
