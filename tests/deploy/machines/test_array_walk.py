"""The script of a job array, with real trials on two machines of one folder, and the average as a dependent job."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.store import Store

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "deploy" / "array.sbatch"
NUM_TRIALS = 2
STAND_INS = {
    "scontrol": 'echo "$@" >>scontrol\n',
    "minima": f'exec "{sys.executable}" -P -m orchestrator "$@"\n',
}


class Array:
    """The jobs of an array: each starts on some machine, with the same command and a number of its own."""

    def __init__(self, rig, folder: Path) -> None:
        self.rig, self.folder = rig, folder
        for name, text in STAND_INS.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (folder / name).chmod(0o755)
        rig.share_long_trials("queued", NUM_TRIALS)

    def start(self, machine: int, index: int) -> subprocess.Popen[str]:
        """Start one job, as SLURM does: its script is the process that gets the signals."""
        number = 4123 if index == NUM_TRIALS - 1 else 4124 + index  # the last has the array's own
        told = {
            "SLURM_JOB_ID": str(number),
            "SLURM_ARRAY_JOB_ID": "4123",
            "SLURM_ARRAY_TASK_ID": str(index),
        }
        command = ["bash", str(SCRIPT), "sweep.yaml", "store", "--checkpoint-seconds", "3600"]
        return self.run(machine, command, **told)

    def run(self, machine: int, command: list[str], **told: str) -> subprocess.Popen[str]:
        """Start a command on a machine, with the stand-ins first."""
        path = self.rig.environment(machine, {})["PATH"]
        return self.rig.on(machine, command, PATH=f"{self.folder}:{path}", **told)


def test_an_array_is_queued_again_and_averaged_after_its_end(rig, tmp_path):
    """A job near its time limit saves and comes again elsewhere; done ones end at once; no bit differs."""
    for machine in (2, 3):
        rig.boot(machine, ["sleep", "infinity"])
    array = Array(rig, tmp_path)
    store = Store.open(str(rig.shared / "store"))
    first, second = array.start(2, 0), array.start(3, 1)
    rig.wait_until(
        lambda: any(
            beat.progress.done for host, beat in rig.running(store).items() if host == "node3"
        )
    )
    rig.send(second, signal.SIGUSR1)
    assert rig.finish(second)[0] == 3, rig.errors()
    assert (rig.shared / "scontrol").read_text() == "requeue 4123_1\n"
    assert rig.finish(first)[0] == 0, rig.errors()

    again = [array.start(2, 1), array.start(3, 0)]
    assert [rig.finish(each)[0] for each in again] == [0, 0], rig.errors()
    average = array.run(3, ["minima", "aggregate", "sweep.yaml", "--store", "store"])
    assert rig.finish(average)[0] == 0, rig.errors()

    (cell,) = store.read("cells").to_pylist()
    assert (cell["num_seeds"], cell["complete"]) == (NUM_TRIALS, True)
    undisturbed = rig.undisturbed(2)
    assert len(undisturbed) == NUM_TRIALS
    assert rig.weights("store") == undisturbed
