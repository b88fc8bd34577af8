"""The SLURM script with Ray's own symmetric-run on two machines, through a drain, a requeue and a resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.store import Store

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "deploy" / "slurm.sbatch"
NUM_TRIALS = 4
SWEEP = """
name: walked
model: {name: mlp, hidden_units: [32]}
dataset: {name: digits, num_train: 600}
loss: kld
grid: {batch_size: [20, 50], learning_rate: [0.05, 0.1]}
seeds: 1
training: {epochs: 800}
measure: [losses]
resources: {gpus: 0, cpus: 1}
"""
STAND_INS = {
    # The same command on each machine of the job, as one step; its options before it are SLURM's.
    "srun": """
        while [[ ${1-} == -* ]]; do shift; done
        for first in $MACHINES; do
            nsenter -t "$first" -n -p -m -u -i env --chdir="$SHARED" "$@" &
        done
        wait
    """,
    "scontrol": """
        if [[ $1 == show ]]; then printf 'node2\\nnode3\\n'; else echo "$@" >>"$SHARED/scontrol"; fi
    """,
    "minima": f"""
        exec "{sys.executable}" -P -m orchestrator "$@"
    """,
}


class Job:
    """The script as SLURM starts it: its batch shell outside the machines, which see the same folders."""

    def __init__(self, rig, folder: Path) -> None:
        self.rig, self.commands = rig, folder / "bin"
        self.commands.mkdir()
        for name, text in STAND_INS.items():
            (self.commands / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (self.commands / name).chmod(0o755)
        (rig.shared / "sweep.yaml").write_text(SWEEP)
        self.home = rig.shared / "home"
        self.home.mkdir()
        for number in (2, 3):
            rig.boot(number, ["sleep", "infinity"])
        self.store = Store.open(str(rig.shared / "store"))

    def hosts(self) -> set[str]:
        """Return the machines on which an attempt has saved something."""
        beats = map(self.store.read_json, self.store.names("attempts"))
        return {beat["host"] for beat in beats if beat}

    def left_behind(self) -> list[str]:
        """Return what of a job is left: its token, and where Ray kept its files."""
        kept = [*(self.home / ".cache/minima").glob("job-*"), Path("/tmp/minima-41234")]  # noqa: S108
        return [str(path) for path in kept if path.exists()]

    def start(self) -> subprocess.Popen[str]:
        """Submit the script."""
        firsts = [str(self.rig.first_process(number)) for number in (2, 3)]
        told = {
            "PATH": f"{self.commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "SHARED": str(self.rig.shared),
            "MACHINES": " ".join(firsts),
            "SLURM_JOB_ID": "41234",
            "SLURM_JOB_NODELIST": "node[2-3]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "1",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # a node leaves after its head, not in 60 s
        }
        command = ["bash", str(SCRIPT), "sweep.yaml", str(self.rig.shared / "store")]
        return self.rig.outside(command, told)


def test_two_nodes_drain_before_the_time_limit_and_the_requeued_job_finishes(rig, tmp_path):
    """Both nodes train; the second job takes up what the first has saved; the bits are those of one machine."""
    job = Job(rig, tmp_path)
    first = job.start()
    rig.wait_until(lambda: first.poll() is not None or job.hosts() == {"node2", "node3"})
    first.send_signal(signal.SIGUSR1)
    assert first.wait(timeout=rig.patience_seconds) == 3, rig.errors()
    assert (rig.shared / "scontrol").read_text() == "requeue 41234\n"
    assert len(rig.weights("store")) < NUM_TRIALS
    assert job.left_behind() == []

    second = job.start()
    assert second.wait(timeout=rig.patience_seconds) == 0, rig.errors()
    assert job.left_behind() == []

    undisturbed = rig.undisturbed(2)
    assert len(undisturbed) == NUM_TRIALS
    assert rig.weights("store") == undisturbed
