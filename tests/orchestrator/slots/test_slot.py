"""A slot does a trial's missing work, retries by class, drains, and leaves nobody behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.liveness.run_control import ask_to_stop
from orchestrator.machine.processes import space_digest
from orchestrator.slots.attempt import SupervisedAttempt
from orchestrator.slots.child import ForkServer
from orchestrator.slots.failures import Failure
from orchestrator.slots.lost_slots import record_loss
from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotResult
from workers.contract.errors import StoreError
from workers.contract.failure_classes import MAX_ATTEMPTS
from workers.contract.orders import Heartbeat, Progress
from workers.contract.store import Store


@pytest.fixture
def slot():
    made = Slot()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("orchestrator.slots.slot.wait_before_retry", lambda _: 0.0)


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


def test_a_new_slot_removes_what_killed_ones_left(tmp_path, dead_pid, monkeypatch):
    """On a machine where only slots run nobody else would."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"minima-{space_digest()}-{dead_pid}-abc").mkdir()
    Slot()
    assert list(tmp_path.iterdir()) == []


def test_work_is_done_in_order(slot, make_task, statistics, tmp_path):
    """Training first, then each statistic."""
    result = slot.run(make_task(0, statistics=statistics), "-1")
    assert result.status == "done"
    assert (result.num_attempts, result.num_failures) == (3, 0)
    assert seen(tmp_path / "store") == ["losses", "traces", "train"]


def test_a_bug_is_recorded_and_tried_twice(slot, make_task, tmp_path):
    """The failures view holds a row an attempt, with class, signature, message and log."""
    result = slot.run(make_task(1), "-1")
    assert result.status == "failed"
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert len(rows) == result.num_failures == MAX_ATTEMPTS["bug"]
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
    assert result.num_failures == MAX_ATTEMPTS["worker_lost"]
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


def test_a_stop_asked_in_this_process_drains(make_task, tmp_path):
    """Without a marker: what runs saves and leaves, which is no failure, and nothing further is begun."""
    asked = threading.Event()
    with contextlib.closing(Slot(is_stopping=asked.is_set)) as slot:
        threading.Timer(0.5, asked.set).start()
        result = slot.run(make_task(3), "-1")
        assert (result.status, result.num_attempts) == ("drained", 1)
        assert slot.run(make_task(0), "-1").num_attempts == 0
    assert Store.open(str(tmp_path / "store")).read("failures").num_rows == 0


def test_a_node_that_is_told_its_end_drains(make_task, tmp_path):
    """What runs is told within seconds, and why it ended is recorded with its log; nothing further is begun."""
    notice = threading.Event()
    slot = Slot(notice.is_set)
    with contextlib.closing(slot):
        threading.Timer(0.5, notice.set).start()
        result = slot.run(make_task(3), "-1")
        assert (result.status, result.num_attempts, result.num_failures) == ("drained", 1, 0)
        assert slot.run(make_task(0), "-1").num_attempts == 0
    host = socket.gethostname()
    (row,) = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert (row["failure_class"], row["signature"], row["host"]) == (
        "preempted",
        "node preempted",
        host,
    )
    assert row["message"] == f"node {host} is to end; what was done is saved, and goes on elsewhere"
    assert (tmp_path / "store" / row["log_path"]).read_text() == "the log of an attempt\n"


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


def test_what_is_committed_is_not_done_again(slot, make_task, statistics, finish_trial, tmp_path):
    """As by a slot that was lost after its commit: neither trained nor measured twice."""
    task = make_task(0, statistics=statistics)
    finish_trial(Store.open(task.store), task.planned, statistics[:1])
    result = slot.run(task, "-1")
    assert (result.status, result.num_attempts) == ("done", 1)
    assert seen(tmp_path / "store") == ["traces"]


def test_a_lost_model_is_trained_again_although_it_is_committed(
    slot, make_task, statistics, finish_trial, tmp_path
):
    """Its record is there, and a statistic wants the weights."""
    task = make_task(0, statistics=statistics[:1])
    store = Store.open(task.store)
    finish_trial(store, task.planned, [])
    for name in store.names("models"):
        store.remove(name)
    assert slot.run(task, "-1").num_attempts == 2
    assert seen(tmp_path / "store") == ["losses", "train"]


def test_work_that_other_slots_died_over_is_left_alone(slot, make_task, tmp_path):
    """Its failures in this run have reached their cap: the trial is in quarantine until the next run."""
    task = make_task(0)
    store = Store.open(task.store)
    lost = Failure("worker_lost", "slot lost", "")
    for _ in range(MAX_ATTEMPTS["worker_lost"]):
        record_loss(store, task, lost)
    assert slot.run(task, "-1") == SlotResult(
        trial_id=task.trial_id, status="failed", num_attempts=0, num_failures=0
    )
    earlier = [row["attempt_id"] for row in store.read("failures").to_pylist()]
    assert slot.run(make_task(0, earlier_failures=earlier), "-1").status == "done"


def test_a_trial_that_another_run_is_at_is_left_to_it(slot, make_task, tmp_path):
    """Nothing is started; once the other one is presumed dead, it is done here."""
    task = make_task(0)
    store = Store.open(task.store)
    store.write_json(Store.run_path("toy", "other"), {})
    other = Heartbeat(
        trial_id=task.trial_id, attempt_id="theirs", statistic=None, sweep="toy", run_id="other",
        state="running", host="h", pid=1, devices="-1", device_share=0.0, started_at="",
        beat_at="", progress=Progress(phase="training"),
    )  # fmt: skip
    path = Store.heartbeat_path(task.trial_id, "theirs")
    store.write_json(path, other.model_dump(mode="json"))
    result = slot.run(task, "-1")
    assert (result.status, result.num_attempts) == ("elsewhere", 0)
    assert slot.run(make_task(0, presumed_dead=["theirs"]), "-1").status == "done"


def test_an_attempt_is_not_hung_where_its_slot_was_stopped_too(
    slot, make_task, tmp_path, monkeypatch
):
    """As with a machine or container that is suspended: nobody could have moved meanwhile."""
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + clock.ahead, ahead=0.0)
    monkeypatch.setattr("orchestrator.slots.attempt.time", clock)
    wait = ForkServer.wait

    def wait_suspended(server: ForkServer, seconds: float) -> int | None:
        if not clock.ahead:
            clock.ahead = 3600.0
            return None
        return wait(server, seconds)

    monkeypatch.setattr(ForkServer, "wait", wait_suspended)
    result = slot.run(make_task(0), "-1")
    assert (result.status, result.num_failures) == ("done", 0)


def test_a_share_of_a_gpu_that_is_too_small_is_told(slot, make_task):
    """The slot cannot grow; the driver gives the trial another."""
    result = slot.run(make_task(8, device_share=0.25), "0")
    assert (result.status, result.num_attempts) == ("larger_share", 1)
    assert slot.run(make_task(8, device_share=0.5), "0").status == "done"


def test_a_store_that_cannot_be_written_fails_before_anything_is_trained(
    slot, make_task, tmp_path, monkeypatch
):
    """And every failure is recorded once it can be again."""
    write = Store.write_json
    tries: list[str] = []

    def fail(store: Store, path: str, value: object) -> None:
        tries.append(path)
        if len(tries) <= 4:  # two attempts, each telling its claim and its end
            raise StoreError("away")
        write(store, path, value)

    monkeypatch.setattr(Store, "write_json", fail)
    result = slot.run(make_task(0), "-1")
    assert (result.status, result.num_attempts, result.num_failures) == ("done", 1, 2)
    assert seen(tmp_path / "store") == ["train"]
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert [row["failure_class"] for row in rows] == ["storage", "storage"]


def test_failures_are_recorded_once_the_store_is_back(slot, make_task, tmp_path, monkeypatch):
    """A commit that failed is made with the next one."""
    commit = Store.commit
    tries: list[str] = []

    def fail_once(store: Store, view: str, *rest: object) -> str:
        tries.append(view)
        if len(tries) == 1:
            raise StoreError("away")
        return commit(store, view, *rest)

    monkeypatch.setattr(Store, "commit", fail_once)
    assert slot.run(make_task(5), "-1").status == "done"
    rows = Store.open(str(tmp_path / "store")).read("failures").to_pylist()
    assert [row["signature"] for row in rows] == ["SIGKILL"]


def test_a_child_that_does_not_leave_is_ended(slot, make_task, tmp_path, monkeypatch):
    """It was asked to save and leave, and did not for too long: drained, which is no failure."""
    monkeypatch.setattr("orchestrator.slots.attempt._DRAIN_SECONDS", 0.5)
    store = Store.open(str(tmp_path / "store"))
    threading.Timer(0.5, ask_to_stop, (store, "toy", "run", "test")).start()
    result = slot.run(make_task(9), "-1")
    assert (result.status, result.num_failures) == ("drained", 0)


def test_a_fork_server_that_does_not_answer_is_replaced(slot, make_task, tmp_path, monkeypatch):
    """Stopped by whatever, it cannot tell that its child is dead."""
    monkeypatch.setattr("orchestrator.slots.attempt._END_SECONDS", 0.5)
    slot.run(make_task(0), "-1")
    server = slot._server._process.pid
    os.kill(server, signal.SIGSTOP)
    monkeypatch.setattr("orchestrator.slots.child._START_SECONDS", 3.0)
    result = slot.run(make_task(6), "-1")
    assert (result.status, result.num_failures) == ("done", 1)
    assert wait_until(lambda: not is_alive(server))


def test_nobody_outlives_the_slot(slot, make_task, tmp_path):
    """When the slot closes, fork server and child are gone."""
    thread = threading.Thread(target=lambda: _quietly(slot.run, make_task(4), "-1"), daemon=True)
    thread.start()
    folder = tmp_path / "store/seen"
    assert wait_until(lambda: folder.is_dir() and any(p.read_text() for p in folder.iterdir()))
    pid = json.loads(next(folder.iterdir()).read_text())["pid"]
    server = slot._server._process.pid
    ask_to_stop(Store.open(str(tmp_path / "store")), "toy", "run", "test")  # lest it try again
    slot.close()
    assert wait_until(lambda: not is_alive(pid) and not is_alive(server))
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


def test_work_put_off_outweighs_work_given_up(slot, make_task, statistics, monkeypatch):
    """A failed statistic must not end a trial whose next one wants more of a GPU: it comes again."""
    ends = iter([(Failure("user_error", "s", "m"), "failed"), (None, "larger_share")])
    monkeypatch.setattr(SupervisedAttempt, "run", lambda _: next(ends))
    task = make_task(0, is_trained=True, statistics=statistics)
    assert slot.run(task, "-1").status == "larger_share"


def test_work_that_failed_after_its_commit_is_done(slot, make_task, finish_trial, monkeypatch):
    """At the cap of its class too: the record counts, not how the attempt ended."""
    task = make_task(0)

    def commit_and_fail(_: SupervisedAttempt) -> tuple[Failure, str]:
        finish_trial(Store.open(task.store), task.planned, [])
        return Failure("user_error", "s", "m"), "failed"

    monkeypatch.setattr(SupervisedAttempt, "run", commit_and_fail)
    assert slot.run(task, "-1").status == "done"


def test_a_whole_gpu_is_tried_after_every_share_was_too_small(slot, make_task):
    """Three shares found too small in earlier waves are not the whole device's attempts."""
    task = make_task(0, device_share=1.0, num_smaller_shares=3)
    for _ in range(3):
        record_loss(Store.open(task.store), task, Failure("gpu_out_of_memory", "s", "m"))
    assert slot.run(task, "0").status == "done"


def test_the_fork_server_is_started_before_the_claim_stands(slot, make_task, monkeypatch):
    """Else a rival would wait for a claim until it took it for dead, while TensorFlow is imported."""
    seen: list[str] = []
    start = ForkServer.ensure_started
    monkeypatch.setattr(
        ForkServer, "ensure_started", lambda self: (seen.append("start"), start(self))
    )
    monkeypatch.setattr("orchestrator.slots.attempt.is_ours", lambda *_: bool(seen.append("claim")))
    assert slot.run(make_task(0), "-1").status == "elsewhere"
    assert seen == ["start", "claim"]
