"""A sweep over several machines, one of which holds other code than the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.contract.orders import Heartbeat
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


def said(rig) -> str:
    """Return what all processes have written as errors so far, as one line."""
    return " ".join(rig.errors().split())


def running(store: Store) -> list[Heartbeat]:
    """Return the attempts that say they run."""
    beats = [Heartbeat.model_validate(store.read_json(path)) for path in store.names("attempts")]
    return [beat for beat in beats if beat.state == "running"]


@contextmanager
def halted(rig, store: Store) -> Iterator[None]:
    """Wait until both machines train, and let neither go on meanwhile: whoever joins finds trials left."""
    rig.wait_until(
        lambda: {beat.host for beat in running(store)} == {"node2", "node3"}, PATIENCE_SECONDS
    )
    attempts = [
        process
        for beat in running(store)
        for process in rig.children(int(beat.host.removeprefix("node")), beat.pid)
    ]
    for process in attempts:
        process.suspend()
    try:
        yield
    finally:
        for process in attempts:
            process.resume()


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
    sentence = f"node node4 holds other code ({theirs}) than the driver ({own}); install the same version there"
    with halted(rig, store):
        start_node(rig, 4, 2, PYTHONPATH=str(other))
        rig.wait_until(lambda: run.poll() is not None or sentence in said(rig), PATIENCE_SECONDS)

    code, _ = finish(run)
    assert code == 0, said(rig)
    assert said(rig).count(f"{sentence}: it gets no trial") == 1

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
        assert (code, out) == (2, ""), said(rig)
        assert sentence in said(rig)
        assert f"where: --address {ADDRESS}" in said(rig)
    assert not (rig.shared / "store").exists()
