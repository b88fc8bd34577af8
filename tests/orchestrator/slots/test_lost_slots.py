"""A lost slot leaves a row that names the attempt it was at, and nothing that looks alive."""

from __future__ import annotations

import pytest

from orchestrator.slots.failures import Failure
from orchestrator.slots.lost_slots import record_loss
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat, Progress
from workers.contract.store import Store

LOSS = Failure("node_lost", "node lost", "its node has died")


def beat(store: Store, task, attempt_id: str, **changes: object) -> None:
    fields = {
        "trial_id": task.trial_id, "attempt_id": attempt_id, "statistic": "traces",
        "statistic_id": "s1", "sweep": "toy", "run_id": "run", "state": "running",
        "host": "node7", "pid": 1, "devices": "0", "device_share": 1.0, "started_at": "",
        "beat_at": "", "progress": Progress(phase="measuring"),
    } | changes  # fmt: skip
    path = Store.heartbeat_path(task.trial_id, attempt_id)
    store.write_json(path, Heartbeat.model_validate(fields).model_dump(mode="json"))


def test_the_row_names_the_attempt_that_was_lost(make_task):
    """Class, place, log and work of the last attempt of this run that had not ended."""
    task = make_task(0)
    store = Store.open(task.store)
    beat(store, task, "20260101T000001-a")
    beat(store, task, "20260101T000002-b", state="ended")
    beat(store, task, "20260101T000003-c", run_id="another")
    record_loss(store, task, LOSS)
    (row,) = store.read("failures").to_pylist()
    assert row["attempt_id"] == "20260101T000001-a"
    assert (row["failure_class"], row["signature"]) == ("node_lost", "node lost")
    assert (row["statistic_id"], row["host"]) == ("s1", "node7")
    assert row["log_path"] == Store.log_path(task.trial_id, row["attempt_id"])


def test_what_is_lost_does_not_look_alive(make_task):
    """Its heartbeat is ended; that of another run stays."""
    task = make_task(0)
    store = Store.open(task.store)
    beat(store, task, "ours")
    beat(store, task, "theirs", run_id="another")
    record_loss(store, task, LOSS)
    states = {
        name: store.read_json(Store.heartbeat_path(task.trial_id, name))["state"]
        for name in ("ours", "theirs")
    }
    assert states == {"ours": "ended", "theirs": "running"}


def test_a_slot_that_never_began_leaves_a_row_too(make_task):
    """Two of them two rows."""
    task = make_task(0)
    store = Store.open(task.store)
    for _ in range(2):
        record_loss(store, task, LOSS)
    rows = store.read("failures").to_pylist()
    assert [row["host"] for row in rows] == ["unknown", "unknown"]
    assert rows[0]["statistic_id"] is None


def test_a_store_that_is_away_is_no_fault(make_task, monkeypatch):
    """The driver goes on."""

    def fail(*_: object) -> None:
        raise StoreError("away")

    task = make_task(0)
    monkeypatch.setattr(Store, "commit", fail)
    record_loss(Store.open(task.store), task, LOSS)


@pytest.mark.parametrize("content", [b"", b"{", b'{"trial_id": 3}'])
def test_a_damaged_heartbeat_is_passed_over(make_task, content):
    """Of the attempt nothing is known then; the file is told."""
    task = make_task(0)
    store = Store.open(task.store)
    store.write_bytes(Store.heartbeat_path(task.trial_id, "cut"), content)
    with pytest.warns(UserWarning, match="cut.json: it is no"):
        record_loss(store, task, LOSS)
    assert len(store.read("failures")) == 1
