"""A slot does a trial's missing work, retries by class, drains, and leaves nobody behind."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from orchestrator import failures
from orchestrator.run_control import ask_to_stop
from orchestrator.slot import Slot
from workers.contract.store import Store


@pytest.fixture
def slot():
    made = Slot()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("orchestrator.slot.wait_before_retry", lambda _: 0.0)


def seen(store: Path) -> list[str]:
    return sorted(path.name.split(".")[1] for path in (store / "seen").iterdir())


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_work_is_done_in_order(slot, make_task, statistics, tmp_path):
    """Training first, then each statistic, each in a process of its own."""
    result = slot.run(make_task(0, statistics=statistics), "-1")
    assert result.status == "done"
    assert (result.num_attempts, result.num_failures) == (3, 0)
    assert seen(tmp_path / "store") == ["losses", "traces", "train"]
    pids = {json.loads(p.read_text())["pid"] for p in (tmp_path / "store/seen").iterdir()}
    assert len(pids) == 3


def test_a_bug_is_recorded_and_tried_twice(slot, make_task, tmp_path):
    """The failures view holds a row an attempt, with class, signature, message and log."""
    result = slot.run(make_task(1), "-1")
    assert result.status == "failed"
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert len(rows) == result.num_failures == failures.POLICIES["bug"].max_attempts
    assert {(r["failure_class"], r["signature"], r["message"]) for r in rows} == {
        ("bug", "ValueError", "no")
    }
    assert (tmp_path / "store" / rows[0]["log_path"]).read_text() == "the log of an attempt\n"


def test_a_lost_model_is_made_again(slot, make_task, statistics, tmp_path):
    """The slot trains, then takes the statistic; the trial counts as done."""
    result = slot.run(make_task(7, is_trained=True, statistics=statistics[:1]), "-1")
    assert (result.status, result.num_failures) == ("done", 1)
    assert seen(tmp_path / "store") == ["losses", "losses", "train"]


def test_training_that_fails_is_not_measured(slot, make_task, statistics, tmp_path):
    """Without a trained model no statistic is tried."""
    assert slot.run(make_task(1, statistics=statistics), "-1").status == "failed"
    assert set(seen(tmp_path / "store")) == {"train"}


def test_a_killed_child_is_tried_again(slot, make_task):
    """A child that something killed once is done at the second attempt."""
    result = slot.run(make_task(5), "-1")
    assert (result.status, result.num_attempts, result.num_failures) == ("done", 2, 1)


def test_a_child_that_is_always_killed_fails(slot, make_task, tmp_path):
    """The cap of the class ends it, and the signal is its signature."""
    result = slot.run(make_task(2), "-1")
    assert result.status == "failed"
    assert result.num_failures == failures.POLICIES["worker_lost"].max_attempts
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert {row["signature"] for row in rows} == {"SIGKILL"}


def test_a_stop_marker_drains(slot, make_task, tmp_path):
    """A running child is told within seconds, and nothing further is started."""
    store = Store.open(str(tmp_path / "store"))
    threading.Timer(0.5, ask_to_stop, (store, "toy", "run", "test")).start()
    result = slot.run(make_task(3), "-1")
    assert (result.status, result.num_attempts) == ("drained", 1)
    assert slot.run(make_task(0), "-1") == result.model_copy(
        update={"trial_id": make_task(0).planned.trial_id, "num_attempts": 0}
    )


def test_a_hung_child_is_ended(slot, make_task, tmp_path):
    """No progress for longer than allowed: killed, recorded as a hang."""
    result = slot.run(make_task(4, hang_seconds=0.5), "-1")
    assert result.status == "failed"
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert {row["failure_class"] for row in rows} == {"hang"}


def test_the_child_sees_the_devices_it_was_given(slot, make_task, tmp_path):
    """CUDA_VISIBLE_DEVICES is the slot's, attempt by attempt."""
    slot.run(make_task(0), "2")
    slot.run(make_task(6), "-1")
    devices = [json.loads(p.read_text())["devices"] for p in (tmp_path / "store/seen").iterdir()]
    assert sorted(devices) == ["-1", "2"]


def test_a_second_trial_starts_at_once(slot, make_task):
    """The fork server is paid for once: a later attempt starts in a fraction of a second."""
    slot.run(make_task(0), "-1")
    started = time.monotonic()
    slot.run(make_task(6), "-1")
    assert time.monotonic() - started < 2


def test_nobody_outlives_the_slot(slot, make_task, tmp_path):
    """When the slot closes, fork server and child are gone."""
    thread = threading.Thread(target=lambda: _quietly(slot.run, make_task(4), "-1"), daemon=True)
    thread.start()
    folder = tmp_path / "store/seen"
    assert wait_until(lambda: folder.is_dir() and any(p.read_text() for p in folder.iterdir()))
    pid = json.loads(next(folder.iterdir()).read_text())["pid"]
    server = slot._server._process.pid
    slot.close()
    assert wait_until(lambda: not is_alive(pid) and not is_alive(server))
    ask_to_stop(Store.open(str(tmp_path / "store")), "toy", "run", "test")
    thread.join(20)


def test_a_killed_fork_server_takes_its_child_along_and_is_replaced(slot, make_task, tmp_path):
    """The kernel ends the child of a dead server; the slot starts another and goes on."""
    thread = threading.Thread(target=lambda: _quietly(slot.run, make_task(4), "-1"), daemon=True)
    thread.start()
    folder = tmp_path / "store/seen"
    assert wait_until(lambda: folder.is_dir() and any(p.read_text() for p in folder.iterdir()))
    pid = json.loads(next(folder.iterdir()).read_text())["pid"]
    os.kill(slot._server._process.pid, 9)
    assert wait_until(lambda: not is_alive(pid))
    assert wait_until(lambda: len(list(folder.iterdir())) == 2)
    ask_to_stop(Store.open(str(tmp_path / "store")), "toy", "run", "test")
    slot.close()
    thread.join(20)


def _quietly(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001  # the slot is closed under it
        print(error)
