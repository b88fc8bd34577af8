"""The state of a sweep from the store alone: what is done, what lives, what failed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.liveness.heartbeats import live_heartbeats
from orchestrator.monitor import status as status_module
from orchestrator.monitor.status import (
    StatusReader,
    open_failures,
    status_document,
    status_of,
    sweep_status,
)
from orchestrator.planning.estimate import store_estimator
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.store_state import read_state
from workers.contract.compaction import compact
from workers.contract.lacking import lacking
from workers.contract.orders import Heartbeat, Progress
from workers.contract.plan_document import PlanDocument
from workers.contract.records import FailureRecord, table
from workers.contract.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def plan(make_trial, statistics):
    """Three seeds each of two cells."""
    trials = [make_trial(seed, size) for size in (32, 64) for seed in range(3)]
    return PlanDocument(
        sweep="toy", revision="r", planned_at="", spec={}, seeds=[0, 1, 2], trials=trials,
        statistics=statistics,
    )  # fmt: skip


@pytest.fixture
def beat(store):
    """Write the heartbeat of an attempt."""

    def write(
        trial_id, attempt_id="a", state="running", age_seconds=0.0, *, started_at="",
        devices="-1", share=0.0, **progress,
    ):  # fmt: skip
        heartbeat = Heartbeat(
            trial_id=trial_id, attempt_id=attempt_id, statistic=None, sweep="toy", run_id="run",
            state=state, host="h", pid=1, devices=devices, device_share=share,
            started_at=started_at,
            beat_at=(NOW - timedelta(seconds=age_seconds)).isoformat(),
            progress=Progress(**{"phase": "training"} | progress),
        )  # fmt: skip
        store.write_json(
            Store.heartbeat_path(trial_id, attempt_id), heartbeat.model_dump(mode="json")
        )

    return write


@pytest.fixture
def fail(store):
    """Commit a failure row."""

    def write(
        trial_id, statistic_id, attempt_id, signature="ValueError", message="no", *, host="h",
        failure_class="user_error",
    ):  # fmt: skip
        row = FailureRecord(
            trial_id=trial_id, statistic_id=statistic_id, attempt_id=attempt_id,
            failure_class=failure_class, signature=signature, message=message,
            log_path=f"logs/{attempt_id}.log", host=host, failed_at=NOW,
        )  # fmt: skip
        store.commit("failures", (trial_id, attempt_id), attempt_id, table("failures", [row]))

    return write


@pytest.fixture
def finish(store, plan, finish_trial):
    """Commit a trial and the first of the plan's statistics, or all of them."""

    def write(planned, num_statistics=2):
        finish_trial(store, planned, plan.statistics[:num_statistics])

    return write


def test_trials_are_counted_by_cell_and_state(store, plan, finish, beat, fail):
    """Each once: done, running, to measure, to train, or failed."""
    first, second, third, fourth, fifth, _ = plan.trials
    finish(first)
    finish(second, num_statistics=1)
    beat(third.trial_id)
    fail(fourth.trial_id, None, "f1")
    fail(fifth.trial_id, None, "f2")
    beat(fifth.trial_id)
    state = sweep_status(store, plan, NOW)
    counts = [
        (c.batch_size, c.done, c.running, c.to_measure, c.to_train, c.failed) for c in state.cells
    ]
    assert counts == [(32, 1, 1, 1, 0, 0), (64, 0, 1, 0, 1, 1)]
    assert (state.num_trials, state.num_done) == (6, 1)


def test_what_will_be_tried_again_has_not_failed(store, plan, fail):
    """A trial has failed once a class of failure befell it as often as it is tried; all are told."""
    first, second, third, *_ = plan.trials
    fail(first.trial_id, None, "f1", failure_class="preempted")
    fail(first.trial_id, None, "f2", failure_class="other_code")
    for trial, number in ((second, 1), (third, 2)):
        for attempt in range(number):
            fail(trial.trial_id, None, f"g{number}{attempt}", failure_class="bug")
    state = sweep_status(store, plan, NOW)
    assert (state.cells[0].to_train, state.cells[0].failed) == (2, 1)
    assert [group["count"] for group in state.failures] == [1, 1, 3]


def test_only_attempts_that_live_run(store, plan, finish, beat):
    """Not those that ended, fell silent, are of a done trial, of another plan, or damaged."""
    ids = [item.trial_id for item in plan.trials]
    beat(ids[0], age_seconds=59)
    beat(ids[1], age_seconds=61)
    beat(ids[2], state="ended")
    beat("another")
    store.write_bytes(Store.heartbeat_path(ids[3], "a"), b"{")
    finish(plan.trials[4])
    beat(ids[4])
    with pytest.warns(
        UserWarning, match=r"ignored a damaged file of the store, attempts/.*\.json: it is not JSON"
    ):
        running = sweep_status(store, plan, NOW).running
    assert [beat.trial_id for beat in running] == [ids[0]]
    assert live_heartbeats(store, set(), NOW) == []


def test_two_attempts_at_one_trial_are_one_running_trial(store, plan, beat):
    """Two drivers may repeat an attempt; the cell counts trials."""
    name = plan.trials[0].trial_id
    beat(name, "a")
    beat(name, "b")
    state = sweep_status(store, plan, NOW)
    assert (len(state.running), state.cells[0].running) == (2, 1)


def test_the_document_is_json(store, plan, beat):
    """Cells with their counts, heartbeats with their progress."""
    beat(plan.trials[0].trial_id, done=1, total=4)
    document = json.loads(json.dumps(status_document(sweep_status(store, plan, NOW))))
    assert (document["sweep"], document["num_trials"], document["num_done"]) == ("toy", 6, 0)
    assert document["cells"][0]["running"] == 1
    assert document["running"][0]["progress"]["total"] == 4


def test_failures_are_grouped_by_signature(store, plan, fail):
    """With their number and the last message and log."""
    first, second, *_ = plan.trials
    fail(first.trial_id, None, "f1", message="one")
    fail(second.trial_id, None, "f2", message="two")
    fail(second.trial_id, None, "f3", signature="SIGKILL", message="three")
    groups = open_failures(store, plan, sweep_status(store, plan, NOW))
    assert [(g["signature"], g["count"], g["message"], g["log_path"]) for g in groups] == [
        ("ValueError", 2, "two", "logs/f2.log"),
        ("SIGKILL", 1, "three", "logs/f3.log"),
    ]


def test_failures_made_good_are_not_shown(store, plan, fail, finish):
    """Neither of a done trial nor of work of a trial that is done since; nor of other plans."""
    first, second, *_ = plan.trials
    fail("another", None, "f0")
    fail(first.trial_id, None, "f1")
    finish(first)
    fail(second.trial_id, None, "f2")
    finish(second, num_statistics=1)
    state = sweep_status(store, plan, NOW)
    assert open_failures(store, plan, state) == []
    fail(second.trial_id, plan.statistics[1].statistic_id, "f3")
    assert [g["log_path"] for g in open_failures(store, plan, state)] == ["logs/f3.log"]


def test_failures_tell_their_hosts(store, plan, fail):
    """One signature on one host is that host's fault."""
    for number, planned in enumerate(plan.trials[:3]):
        fail(planned.trial_id, None, f"f{number}", host=f"h{number % 2}")
    state = sweep_status(store, plan, NOW)
    assert [(group["count"], group["hosts"]) for group in state.failures] == [(3, ["h0", "h1"])]


def test_the_furthest_epoch_and_the_time_left_of_a_cell(store, plan, finish, beat):
    """From a recorded trial of 10 s: two live at their own pace, three wait for two slots."""
    done, second, third, *_ = plan.trials
    finish(done)
    for planned, epoch, done_steps in ((second, 4, 25), (third, 9, 50)):
        beat(
            planned.trial_id, epoch=epoch, epochs=20, done=done_steps, total=100,
            started_at=(NOW - timedelta(seconds=100)).isoformat(),
        )  # fmt: skip
    state = sweep_status(store, plan, NOW)
    assert [(cell.furthest_epoch, cell.epochs) for cell in state.cells] == [(10, 1), (None, 1)]
    losses, traces = 4 + 0.4 * 3 / 3.2 * 10, 4 + 2.6 * 3 / 3.2 * 10
    first_left, second_left = 300 + losses + traces, 100 + losses + traces
    assert state.cells[0].seconds_left == pytest.approx(first_left)
    waiting = 14 + losses + traces
    assert state.cells[1].seconds_left == pytest.approx(second_left + 3 * waiting)
    assert state.seconds_left == pytest.approx(max(first_left, second_left + 3 * waiting))


def test_the_document_tells_all_that_is_shown(store, plan, finish, beat, fail):
    """Time left, throughput, devices, silent attempts and failures; null for what is unknown."""
    first, second, third, *_ = plan.trials
    beat(first.trial_id, devices="3", share=0.5, done=1, total=4)
    beat(second.trial_id, age_seconds=3600)
    fail(third.trial_id, None, "f1")
    document = json.loads(json.dumps(status_document(sweep_status(store, plan, NOW))))
    assert document["seconds_left"] is None
    assert document["cells"][0]["seconds_left"] is None
    (device,) = document["devices"]
    assert (device["host"], device["device"], device["share"]) == ("h", "3", 0.5)
    assert device["attempts"][0]["trial_id"] == first.trial_id
    assert device["attempts"][0]["progress"]["done"] == 1
    assert [beat["trial_id"] for beat in document["silent"]] == [second.trial_id]
    assert document["throughput"]["num_finished"] == 0
    assert document["failures"][0]["signature"] == "ValueError"


def test_the_size_of_the_data_is_that_of_the_plans_own_trials(
    store, plan, finish_trial, monkeypatch
):
    """Another sweep's larger data set in the same store changes no estimate of this one, as in `plan`."""
    seen = []

    def estimator(_, pace, num_train):
        seen.append(num_train)
        return store_estimator(plan, pace, num_train)

    monkeypatch.setattr(status_module, "store_estimator", estimator)
    finish_trial(store, plan.trials[0], [], num_train=100)
    sweep_status(store, plan, NOW)
    other = plan.trials[0].model_copy(update={"trial_id": "another"})
    finish_trial(store, other, [], num_train=50_000)
    sweep_status(store, plan, NOW)
    sweep_status(store, plan.model_copy(update={"trials": plan.trials[1:]}), NOW)
    assert seen == [100, 100, 50_000]


def test_looks_at_several_sweeps_of_one_store_do_not_mix(store, plan, beat):
    """Each has attempts of its own; the same reader looks at both, again and again."""
    other = plan.model_copy(update={"sweep": "other", "trials": plan.trials[:1]})
    rest = plan.model_copy(update={"trials": plan.trials[1:]})
    beat(plan.trials[0].trial_id)
    beat(plan.trials[1].trial_id)
    reader = StatusReader(store)
    for _ in range(2):
        for asked, name in ((other, plan.trials[0].trial_id), (rest, plan.trials[1].trial_id)):
            assert [b.trial_id for b in reader.look(asked, NOW).running] == [name]


def test_a_sweep_that_is_done_has_no_open_failure(store, plan, fail, finish):
    """Whatever was tried before."""
    fail(plan.trials[0].trial_id, None, "f1")
    for planned in plan.trials:
        finish(planned)
    state = sweep_status(store, plan, NOW)
    assert state.num_done == 6
    assert open_failures(store, plan, state) == []


def test_a_statistic_of_another_sweep_is_no_work_of_this_one(store, plan, finish_trial):
    """Though it was measured of a trial that both have."""
    for attempt_id, item, seconds in zip("ab", plan.statistics, (50.0, 500.0), strict=True):
        finish_trial(
            store, plan.trials[0], [item], measuring_seconds=seconds, attempt_id=attempt_id
        )
    own = plan.model_copy(update={"statistics": plan.statistics[:1]})
    now = datetime.now(UTC)
    worked = [sweep_status(store, each, now).throughput.worked_seconds for each in (plan, own)]
    assert worked == pytest.approx([500, 50], abs=5)  # less the moment since they were committed


def test_nothing_in_the_store(store, plan):
    """All is to train."""
    state = status_of(plan, lacking(plan, read_state(store)), [])
    assert [cell.to_train for cell in state.cells] == [3, 3]
    assert state.num_done == 0


def test_the_state_needs_no_library_of_tables(store, plan, statistics, finish_trial, fail):
    """Nor any other that takes its time to import; of merged records, of single ones and of failures."""
    first, second, third = plan.trials[:3]
    finish_trial(store, first, statistics)
    finish_trial(store, second, statistics)
    compact(store)
    finish_trial(store, third, statistics, measuring_seconds=1.0)
    fail(plan.trials[3].trial_id, None, "f1")
    publish_plan(store, plan)
    command = ["minima", "status", "toy", "--store", store.uri, "--json"]
    code = (
        f"import sys; from orchestrator import cli; sys.argv = {command}\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'pandas', 'scipy', 'ray', 'tensorflow', 'duckdb', 'matplotlib', 'pyarrow.dataset'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["num_done"] == 3
