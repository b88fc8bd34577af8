"""A sweep's trial runs against object storage by the same code as against a folder."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator.liveness.run_control import ask_to_stop
from orchestrator.running.foreground import compare
from orchestrator.slots.slot import Slot
from workers.contract.identity import trial_id
from workers.contract.plan_document import PlannedTrial
from workers.contract.specs import TrialSpec
from workers.contract.store import Store
from workers.contract.sweep_spec import SweepSpec
from workers.datasets.checked.loading import dataset_facts


@pytest.fixture
def planned() -> PlannedTrial:
    """A real trial that takes a second."""
    document = {
        "name": "toy",
        "model": {"name": "mlp", "hidden_units": [16]},
        "dataset": {"name": "digits", "num_train": 200},
        "loss": "kld",
        "training": {"epochs": 3, "weight_decay": 1e-3},
    }
    pairs = {"pairs": [[20, 0.1]], "seeds": 1}
    sweep = SweepSpec.model_validate(document | pairs)
    digest = dataset_facts(sweep.dataset, None).digest
    cell = {"data_digest": digest, "batch_size": 20, "learning_rate": 0.1, "seed": 0}
    del document["name"]
    trial = TrialSpec.model_validate(document | cell)
    return PlannedTrial(trial_id=trial_id(trial), trial=trial)


@pytest.mark.slow
def test_object_storage_and_a_folder_hold_the_same_values(
    s3_store, tmp_path, planned, statistics, make_task
):
    """Model, records, log and heartbeat, no checkpoint left; a stop marker in the bucket drains."""
    folder = Store.open(str(tmp_path / "folder"))
    slot = Slot()
    try:
        for store in (folder, s3_store):
            task = make_task(
                0, planned=planned, statistics=statistics, store=store.uri, entry="workers.trial"
            )
            assert slot.run(task, "-1").status == "done", store.read("failures").to_pylist()
        ask_to_stop(s3_store, "toy", "run", "test")
        assert slot.run(task, "-1").status == "drained"
    finally:
        slot.close()
    assert compare(folder, s3_store, planned.trial_id) == []
    assert len(s3_store.read("trials")) == 1
    assert len(s3_store.names("models")) == 1
    assert len(s3_store.names("logs")) == 3
    assert s3_store.names("checkpoints", recursive=True) == []
    spec = s3_store.read("trials")["spec"].to_pylist()[0]
    assert "testing" not in spec


@pytest.mark.slow
def test_a_trial_takes_few_requests_of_object_storage(
    s3_store, s3_requests, planned, statistics, make_task
):
    """One a file written, and a bound on what three attempts list and read: by number, not by time."""
    task = make_task(
        0, planned=planned, statistics=statistics, store=s3_store.uri, entry="workers.trial"
    )
    slot = Slot()
    try:
        assert slot.run(task, "-1").status == "done"
    finally:
        slot.close()
    # how many of these there are depends on the time: a heartbeat in 5 s, a look for the stop marker in 2
    by_time = ("attempts/", "control/")
    kinds = Counter(each.method for each in s3_requests if not each.key.startswith(by_time))
    assert set(kinds) == {"PUT", "LIST", "HEAD", "GET"}
    files = [each.key for each in s3_requests if each.method == "PUT"]
    assert max(Counter(key for key in files if not key.startswith(by_time)).values()) == 1
    assert (
        kinds["PUT"] == 8
    )  # model, epochs, trial; two statistics; a log of each of three attempts
    assert kinds["HEAD"] == kinds["GET"] <= 6  # Arrow asks for the size before it reads
    assert kinds["LIST"] <= 19
