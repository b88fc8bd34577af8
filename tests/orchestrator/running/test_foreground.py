"""One trial here and now, and two stores compared value by value."""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from orchestrator.liveness import claims
from orchestrator.liveness.run_control import RunControl, live_runs
from orchestrator.planning.prepare import Options, prepare
from orchestrator.running.foreground import (
    Difference,
    TrialChoice,
    choose_trial,
    compare,
    run_here,
)
from workers.contract.errors import StoreError, UserError
from workers.contract.plans import newest_plan
from workers.contract.schema import VIEWS
from workers.contract.store import Store

SWEEP = """
name: toy
model: {name: mlp}
dataset: {name: digits}
loss: kld
grid: {batch_size: [32, 64], learning_rate: [0.1, 0.2]}
seeds: [0, 3]
training: {epochs: 1}
measure: [losses]
"""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """The toy sweep on an empty store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(SWEEP)
    return prepare("toy.yaml", Options("store"))


@pytest.fixture
def planned(prepared, finish_trial):
    """A trial that is done in the store `store`."""
    trial = prepared.plan.trials[0]
    finish_trial(prepared.store, trial, prepared.plan.statistics)
    return trial


@pytest.fixture
def compare_changed(prepared, planned, tmp_path):
    """Change the rows of a view in a copy of the store, and compare."""

    def call(view, change):
        shutil.copytree(tmp_path / "store", tmp_path / "copy", dirs_exist_ok=True)
        other = Store.open(str(tmp_path / "copy"))
        (commit,) = [c for c in other.commits(view) if c.key[0] == planned.trial_id]
        rows = change(commit.table.to_pylist())
        other.remove(commit.path)
        attempt_id = commit.attempt_id
        content = pa.Table.from_pylist(rows, schema=VIEWS[view])
        other.commit(view, commit.key, attempt_id, content)
        found = compare(prepared.store, other, planned.trial_id)
        return [(d.view, d.column, d.first, d.second) for d in found]

    return call


class StoppedAtOnce(RunControl):
    """A run that is told to stop as soon as it listens."""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        with super().listening():
            signal.raise_signal(signal.SIGTERM)
            yield


def in_first_row(**changes):
    return lambda rows: [rows[0] | changes, *rows[1:]]


def test_a_trial_of_the_grid_is_found(prepared):
    """By batch size, learning rate and seed."""
    trial = choose_trial(prepared, TrialChoice(64, 0.2, 3)).planned.trial
    assert (trial.batch_size, trial.learning_rate, trial.seed) == (64, 0.2, 3)


def test_a_trial_outside_the_grid_is_refused_with_the_grid(prepared):
    """Whichever of the three is not in it."""
    for cell in ((50, 0.2, 3), (64, 0.3, 3), (64, 0.2, 1)):
        with pytest.raises(UserError) as error:
            choose_trial(prepared, TrialChoice(*cell))
        (fault,) = error.value.faults
        assert fault.what == (
            f"no trial with batch size {cell[0]}, learning rate {cell[1]}, seed {cell[2]}"
        )
        assert fault.where == "--batch-size, --learning-rate, --seed"
        assert fault.mend == (
            "cells (batch size, learning rate): (32, 0.1), (32, 0.2), (64, 0.1), (64, 0.2); "
            "seeds: [0, 3]"
        )


def test_places_in_the_plan_are_those_of_its_trials(prepared):
    """Every trial once, in the order of the plan, which is that of the sweep: its cells, and their seeds."""
    trials = [choose_trial(prepared, TrialChoice(index=place)).planned.trial for place in range(8)]
    assert [(trial.batch_size, trial.learning_rate, trial.seed) for trial in trials] == [
        (*cell, seed) for cell in prepared.sweep.cells for seed in (0, 3)
    ]


@pytest.mark.parametrize("index", [-1, 8])
def test_a_place_outside_the_plan_is_refused_with_the_places(prepared, index):
    """Before the first and after the last."""
    with pytest.raises(UserError) as error:
        choose_trial(prepared, TrialChoice(index=index))
    (fault,) = error.value.faults
    assert fault.what == f"no trial {index} in a plan of 8"
    assert fault.where == "--index"
    assert fault.mend == "give 0 to 7; of a job array: --array=0-7"


def test_a_trial_is_named_in_one_way():
    """By all of cell and seed, or by its place."""
    mend = (
        "name the trial by --batch-size, --learning-rate, --seed, or by its place in the plan: "
        "--index"
    )
    for named, what, where in (
        ({}, "the trial is not named", "--batch-size, --learning-rate, --seed"),
        ({"batch_size": 32, "seed": 0}, "the trial is not named", "--learning-rate"),
        ({"index": 0, "seed": 0}, "the trial is named twice", "--index"),
    ):
        with pytest.raises(UserError) as error:
            TrialChoice(**named)
        (fault,) = error.value.faults
        assert (fault.what, fault.where, fault.mend) == (what, where, mend)


def test_a_store_equals_itself(prepared, planned):
    """Every value of every view."""
    assert compare(prepared.store, prepared.store, planned.trial_id) == []


def test_when_and_where_it_ran_does_not_count(compare_changed):
    """Nor how long it took, nor what an earlier version did not record."""
    later = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    elsewhere = in_first_row(
        wall_seconds=1.0, host="another", device_share=0.5, started_at=later, finished_at=later,
        environment="{}", python_version="3", code_version="1", code_commit="c",
    )  # fmt: skip
    assert compare_changed("trials", elsewhere) == []
    assert compare_changed("epochs", in_first_row(seconds=99.0)) == []


@pytest.mark.parametrize(
    ("view", "column", "former", "value"),
    [
        ("trials", "weights_sha256", "w", "v"),
        ("trials", "outcome", "budget_spent", "converged"),
        ("trials", "environment_id", "e", "f"),
        ("epochs", "train_loss", 0.5, math.nextafter(0.5, 1)),
        ("epochs", "train_accuracy", 0.9, None),
        ("measurements", "value", 1.0, math.nextafter(1.0, 2)),
        ("measurements", "stderr", 0.0, math.nan),
        ("measurements", "method", "m", "n"),
    ],
)
def test_a_changed_value_is_found(compare_changed, view, column, former, value):
    """In the last bit; with both values."""
    found = compare_changed(view, in_first_row(**{column: value}))
    assert [item[:3] for item in found] == [(view, column, former)]
    assert found[0][3] == value or math.isnan(value)


def test_a_missing_row_is_found(compare_changed):
    """By the number of rows."""
    assert compare_changed("epochs", lambda rows: rows * 2) == [("epochs", "number of rows", 1, 2)]


def test_a_trial_that_is_not_there_differs(prepared, planned, tmp_path):
    """In each view that has rows of it."""
    empty = Store.open(str(tmp_path / "empty"))
    assert compare(prepared.store, empty, planned.trial_id) == [
        Difference(planned.trial_id, view, "number of rows", 1, 0)
        for view in ("trials", "epochs", "measurements")
    ]


def test_nan_equals_nan(prepared, finish_trial, tmp_path):
    """As a diverged trial has it."""
    trial, other = prepared.plan.trials[1], Store.open(str(tmp_path / "other"))
    for store in (prepared.store, other):
        finish_trial(store, trial, prepared.plan.statistics, value=math.nan, train_loss=math.nan)
    assert compare(prepared.store, other, trial.trial_id) == []


def test_spectra_are_compared(prepared, planned, tmp_path):
    """Node by node, in whatever order they were written."""
    rows = [
        {
            "trial_id": planned.trial_id, "statistic_id": "s", "kind": "hessian", "draw": draw,
            "node": float(draw), "weight": 0.5,
        }
        for draw in (0, 1)
    ]  # fmt: skip
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    other = Store.open(str(tmp_path / "other"))
    key = (planned.trial_id, "s")
    schema = VIEWS["spectra"]
    prepared.store.commit("spectra", key, "a", pa.Table.from_pylist(rows, schema=schema))
    changed = [rows[1] | {"weight": 0.25}, rows[0]]
    other.commit("spectra", key, "a", pa.Table.from_pylist(changed, schema=schema))
    assert compare(prepared.store, other, planned.trial_id) == [
        Difference(planned.trial_id, "spectra", "weight", 0.5, 0.25)
    ]


def test_a_trial_here_publishes_the_plan_and_leaves_no_registration(
    prepared, make_task, monkeypatch
):
    """It is a run like any other, of one trial: the fake one, which takes no time."""
    entry = lambda *_: [make_task(0, store=prepared.store.uri)]  # noqa: E731
    monkeypatch.setattr("orchestrator.running.foreground.make_tasks", entry)
    done = run_here(prepared, prepared.missing[0], Options("store"))
    assert (done.result.status, done.result.num_attempts) == ("done", 1)
    assert newest_plan(prepared.store, "toy") == done.plan == prepared.plan
    assert live_runs(prepared.store, "toy") == []


def test_a_trial_here_does_not_wait_for_a_dead_run_of_another_machine(
    prepared, make_task, make_beat, monkeypatch
):
    """Nobody can say that its driver is dead; its attempt is silent for long enough."""
    monkeypatch.setattr(claims, "RIVAL_SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(claims, "_LOOK_SECONDS", 0.05)
    make_task(0)  # the fake trial can be imported
    chosen = choose_trial(prepared, TrialChoice(32, 0.1, 0))
    store, theirs = prepared.store, make_beat(chosen.planned.trial_id, run_id="theirs")
    store.write_json(Store.run_path("toy", "theirs"), {"host": "another", "pid": 1})
    path = Store.heartbeat_path(theirs.trial_id, theirs.attempt_id)
    store.write_json(path, theirs.model_dump(mode="json"))
    assert run_here(prepared, chosen, Options("store", entry="fake_trial")).result.status == "done"


def test_a_trial_here_leaves_a_live_run_alone(prepared, make_task, make_beat, monkeypatch):
    """Its heartbeat has changed."""
    monkeypatch.setattr(claims, "_LOOK_SECONDS", 0.0)
    make_task(0)
    chosen = choose_trial(prepared, TrialChoice(32, 0.1, 0))
    name, done = chosen.planned.trial_id, iter(range(1000))
    monkeypatch.setattr(
        claims,
        "rivals",
        lambda *_: [make_beat(name, run_id="theirs", done=next(done))],
    )
    assert (
        run_here(prepared, chosen, Options("store", entry="fake_trial")).result.status
        == "elsewhere"
    )


def test_a_trial_here_drains_on_a_signal(prepared, make_task, monkeypatch):
    """As a run does: the marker is looked for between attempts and within them."""
    monkeypatch.setattr("orchestrator.running.foreground.RunControl", StoppedAtOnce)

    def tasks(_prepared, _options, run_id, _work):
        return [make_task(3, store=prepared.store.uri, run_id=run_id)]

    monkeypatch.setattr("orchestrator.running.foreground.make_tasks", tasks)
    assert run_here(prepared, prepared.missing[0], Options("store")).result.status == "drained"


def test_a_trial_here_drains_on_a_signal_that_the_store_does_not_hear_of(
    prepared, make_task, monkeypatch
):
    """The marker cannot be written at that moment, and this process knows all the same."""
    monkeypatch.setattr("orchestrator.running.foreground.RunControl", StoppedAtOnce)
    write = Store.write_json

    def refuse_marker(store: Store, path: str, value: object) -> None:
        if path.endswith(".stop.json"):
            raise StoreError("away")
        write(store, path, value)

    monkeypatch.setattr(Store, "write_json", refuse_marker)
    tasks = lambda *_: [make_task(0, store=prepared.store.uri)]  # noqa: E731
    monkeypatch.setattr("orchestrator.running.foreground.make_tasks", tasks)
    assert run_here(prepared, prepared.missing[0], Options("store")).result.status == "drained"


def test_what_does_not_start_is_told_and_nothing_written(prepared, tmp_path):
    """A library that cannot be imported on this machine is no failure of the trial."""
    options = Options("store", entry="no_such_entry")
    with pytest.raises(UserError) as error:
        run_here(prepared, prepared.open_work[0], options)
    assert str(error.value) == (
        "the process that trains does not start: ModuleNotFoundError: No module named 'no_such_entry'\n"
        "  where: this machine\n  mend:  `minima doctor` tells what is missing"
    )
    assert prepared.store.names("sweeps", recursive=True) == []
    assert prepared.store.read("failures").num_rows == 0
