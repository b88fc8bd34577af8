"""A sweep over several machines, one of which holds other code than the others."""

from __future__ import annotations

import sys

import pytest

from workers.contract.store import Store
from workers.process.code_digest import HOME, code_digest

pytestmark = pytest.mark.slow

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
RUN = [sys.executable, "-P", "-m", "orchestrator", "run", "sweep.yaml", "--store", "store"]
RUN += ["--address", "10.77.0.2:6379"]


def test_a_node_of_other_code_joins_a_running_sweep_and_gets_no_part_in_it(
    rig, copy_packages, tmp_path
):
    """It is named and refused, the others finish, and the bits are those of one machine undisturbed."""
    other = copy_packages(tmp_path / "other")
    with (other / "workers" / "trial.py").open("a") as file:
        file.write("# changed\n")
    own, theirs = code_digest(HOME, ["workers"]), code_digest(other, ["workers"])
    (rig.shared / "sweep.yaml").write_text(SWEEP)
    rig.start_head(1)
    rig.start_node(3, 1)
    run = rig.on(2, RUN, RAY_AUTH_TOKEN=rig.secret)
    store = Store.open(str(rig.shared / "store"))
    sentence = f"node node4 holds other code ({theirs}) than the driver ({own}); install the same version there"
    with rig.halted(store, "node2", "node3"):
        rig.start_node(4, 2, PYTHONPATH=str(other))
        rig.wait_until(lambda: run.poll() is not None or sentence in rig.said())

    code, _ = rig.finish(run)
    assert code == 0, rig.said()
    assert rig.said().count(f"{sentence}: it gets no trial") == 1

    failures = store.read("failures").to_pylist()
    assert {(row["failure_class"], row["message"]) for row in failures} == {
        ("other_code", sentence)
    }
    assert len({row["trial_id"] for row in failures}) == len(failures), "refused once each"
    for name in ("trials", "measurements"):
        assert set(store.read(name).column("code_digest").to_pylist()) == {own}
    assert {row["host"] for row in store.read("trials").to_pylist()} == {"node2", "node3"}

    undisturbed = rig.undisturbed(3)
    assert len(undisturbed) == NUM_TRIALS
    assert rig.weights("store") == undisturbed


def test_strangers_are_turned_away(rig):
    """With another token, and from a machine that is no node: one sentence each, and nothing is left behind."""
    (rig.shared / "sweep.yaml").write_text(SWEEP)
    rig.start_head(1)
    rig.boot(3, ["sleep", "infinity"])
    for process, sentence in [
        (rig.on(2, RUN, RAY_AUTH_TOKEN="b" * 64), "the cluster refuses our token"),
        (
            rig.on(3, RUN, RAY_AUTH_TOKEN=rig.secret),
            f"this machine is no node of the cluster at {rig.address}",
        ),
    ]:
        code, out = rig.finish(process)
        assert (code, out) == (2, ""), rig.said()
        assert sentence in rig.said()
        assert f"where: --address {rig.address}" in rig.said()
    assert not (rig.shared / "store").exists()
