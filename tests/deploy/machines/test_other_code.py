"""A sweep over several machines, one of which holds other code than the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.store import Store
from workers.process.code_digest import HOME, code_digest

pytestmark = pytest.mark.slow

ADDRESS = "10.77.0.2:6379"
NUM_TRIALS = 8
SWEEP = f"""
name: several
model: {{name: mlp, hidden_units: [32]}}
dataset: {{name: digits, num_train: 600}}
loss: kld
grid: {{batch_size: [20, 50], learning_rate: [0.05, 0.1]}}
seeds: {NUM_TRIALS // 4}
training: {{epochs: 100}}
measure: [losses]
resources: {{gpus: 0, cpus: 1}}
"""
MINIMA = [sys.executable, "-P", "-m", "orchestrator"]
RUN = [*MINIMA, "run", "sweep.yaml", "--store", "store", "--address", ADDRESS]
RAY_START = [str(Path(sys.executable).with_name("ray")), "start", "--num-gpus=0", "--block"]
SECRET = "a" * 64
IS_UP = "Ray runtime started."
PATIENCE_SECONDS = 240


def start_head(rig) -> None:
    """Start the head on machine 2, with room for one trial."""
    head = ["--head", "--port=6379", "--include-dashboard=false", "--disable-usage-stats"]
    start_ray(rig, 2, [*head, "--num-cpus=1"])


def start_node(rig, number: int, num_cpus: int, **variables: str) -> None:
    """Start a node of the cluster on another machine."""
    start_ray(rig, number, [f"--address={ADDRESS}", f"--num-cpus={num_cpus}"], **variables)


def start_ray(rig, number: int, options: list[str], **variables: str) -> None:
    """Start a machine with Ray on it, and wait until it says that it runs."""
    num_before = rig.errors().count(IS_UP)
    command = [*RAY_START, f"--node-ip-address=10.77.0.{number}", *options]
    rig.boot(number, command, RAY_AUTH_TOKEN=SECRET, **variables)
    rig.wait_until(lambda: rig.errors().count(IS_UP) > num_before, PATIENCE_SECONDS)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command: its code, and what it printed."""
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out


def test_a_node_of_other_code_joins_a_running_sweep_and_gets_no_part_in_it(
    rig, copy_packages, tmp_path
):
    """It is named and refused, the others finish, and the bits are those of one machine undisturbed."""
    other = copy_packages(tmp_path / "other")
    with (other / "workers" / "trial.py").open("a") as file:
        file.write("# changed\n")
    own, theirs = code_digest(HOME, ["workers"]), code_digest(other, ["workers"])
    (rig.shared / "sweep.yaml").write_text(SWEEP)
    start_head(rig)
    start_node(rig, 3, 1)
    run = rig.on(2, RUN, RAY_AUTH_TOKEN=SECRET)
    store = Store.open(str(rig.shared / "store"))
    rig.wait_until(
        lambda: run.poll() is not None or list(store.names("attempts")), PATIENCE_SECONDS
    )
    start_node(rig, 4, 2, PYTHONPATH=str(other))

    code, _ = finish(run)
    said = " ".join(rig.errors().split())
    sentence = f"node node4 holds other code ({theirs}) than the driver ({own}); install the same version there"
    assert code == 0, said
    assert said.count(f"{sentence}: it gets no trial") == 1

    failures = store.read("failures").to_pylist()
    assert {(row["failure_class"], row["message"]) for row in failures} == {
        ("other_code", sentence)
    }
    assert len({row["trial_id"] for row in failures}) == len(failures), "refused once each"
    for name in ("trials", "measurements"):
        assert set(store.read(name).column("code_digest").to_pylist()) == {own}
    assert {row["host"] for row in store.read("trials").to_pylist()} == {"node2", "node3"}

    alone = rig.on(3, [*MINIMA, "run", "sweep.yaml", "--store", "alone"], RAY_AUTH_MODE="")
    assert finish(alone)[0] == 0, rig.errors()
    undisturbed = rig.weights("alone")
    assert len(undisturbed) == NUM_TRIALS
    assert rig.weights("store") == undisturbed


def test_strangers_are_turned_away(rig):
    """With another token, and from a machine that is no node: one sentence each, and nothing is left behind."""
    (rig.shared / "sweep.yaml").write_text(SWEEP)
    start_head(rig)
    rig.boot(3, ["sleep", "infinity"])
    for process, sentence in [
        (rig.on(2, RUN, RAY_AUTH_TOKEN="b" * 64), "the cluster refuses our token"),
        (
            rig.on(3, RUN, RAY_AUTH_TOKEN=SECRET),
            f"this machine is no node of the cluster at {ADDRESS}",
        ),
    ]:
        code, out = finish(process)
        said = " ".join(rig.errors().split())
        assert (code, out) == (2, ""), said
        assert sentence in said
        assert f"where: --address {ADDRESS}" in said
    assert not (rig.shared / "store").exists()
