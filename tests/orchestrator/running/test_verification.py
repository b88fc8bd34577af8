"""Done trials trained again: equal, different, or not comparable here."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time

import pytest

from orchestrator.commands import sweep_commands
from orchestrator.machine.console import Output
from orchestrator.machine.processes import is_alive
from orchestrator.planning.prepare import Options, prepare
from orchestrator.running.foreground import Difference
from orchestrator.running.verification import verify
from orchestrator.slots.task import SlotResult
from workers.contract.errors import UserError
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
def done(prepared, finish_trial):
    """The toy sweep with five trials done: the third in another environment, a processor elsewhere."""
    for number, planned in enumerate(prepared.plan.trials[:5]):
        environment = {"environment_id": "other", "host": "far", "device": "Z80"}
        changes = environment if number == 2 else {}
        finish_trial(prepared.store, planned, prepared.plan.statistics, **changes)
    return prepare("toy.yaml", Options("store"))


@pytest.fixture
def train_again(monkeypatch, finish_trial):
    """Do trials again in no time, with these changes; names what was done again."""

    def install(status="done", value=1.0, **changes):
        names = []

        def run(task, _slot):
            names.append(task.planned.trial_id)
            store = Store.open(task.store)
            if status == "done":
                finish_trial(store, task.planned, task.statistics, value=value, **changes)
            return SlotResult(
                trial_id=task.planned.trial_id, status=status, num_attempts=1, num_failures=0
            )

        monkeypatch.setattr("orchestrator.running.verification.run_on", run)
        return names

    return install


@pytest.fixture
def verify_again(done, train_again, capsys):
    """Verify all with these changes, expect an exit code, and give what was shown."""

    def call(again, code):
        train_again(**again)
        if code == 2:
            with pytest.raises(UserError) as error:
                sweep_commands.verify("toy.yaml", 9, Options("store"), Output())
            (fault,) = error.value.faults
            assert fault.what == (
                "none of the 5 done trials was recorded under this machine's environment"
            )
            assert fault.mend.startswith("verify on a machine like theirs")
        else:
            assert sweep_commands.verify("toy.yaml", 9, Options("store"), Output()) == code
        return capsys.readouterr().out

    return call


def done_of(prepared):
    return [item for item in prepared.missing if item.is_done]


def test_equal_trials_are_verified(done, train_again):
    """As many as were asked for, in stores of their own that are gone afterwards."""
    again = train_again()
    result = verify(done, done_of(done), 2, Options("store"))
    assert (result.compared, result.differences, result.elsewhere) == (again, [], [])
    assert len(again) == 2
    assert len(done.store.names("trials")) == 5


def test_more_than_are_done_means_all(done, train_again):
    """But for those of another environment, which are told apart without training them again."""
    again = train_again()
    result = verify(done, done_of(done), 100, Options("store"))
    assert len(result.compared) == 4
    assert result.elsewhere == [done.plan.trials[2].trial_id]
    assert again == result.compared
    assert (result.differences, result.environment_id) == ([], "e")


def test_where_the_first_was_recorded_elsewhere_another_is_taken(done, train_again):
    """It is no difference, though every value differs."""
    train_again(weights_sha256="e's")
    odd = done.plan.trials[2].trial_id
    drawn = sorted(done_of(done), key=lambda item: item.planned.trial_id != odd)
    result = verify(done, drawn, 1, Options("store"))
    assert result.elsewhere == [odd]
    assert [(d.column, d.second) for d in result.differences] == [("weights_sha256", "e's")]


def test_a_trial_that_fails_the_second_time_differs(done, train_again):
    """It was done before."""
    train_again(status="failed")
    result = verify(done, done_of(done), 1, Options("store"))
    (name,) = result.compared
    assert result.differences == [Difference(name, "trials", "status", "done", "failed")]


def test_an_attempt_told_to_leave_interrupts(done, train_again):
    """It compares nothing."""
    train_again(status="drained")
    with pytest.raises(KeyboardInterrupt):
        verify(done, done_of(done), 1, Options("store"))


@pytest.mark.parametrize(
    ("again", "code", "told"),
    [
        ({}, 0, "4 of 5 done trials trained and measured again: all values equal"),
        ({"value": 2.0}, 1, "4 of 5 done trials trained and measured again: 4 values differ"),
        ({"environment_id": "new"}, 2, "5 not comparable here: recorded under another environment"),
        (
            {"environment_id": "other", "device": "Z80"},
            0,
            "1 of 5 done trials trained and measured again: all",
        ),
    ],
)
def test_the_exit_code_of_verify(verify_again, again, code, told):
    """0 needs a trial really compared; where none can be, that is said with the cure."""
    shown = verify_again(again, code)
    assert told in shown
    assert ("Z80 on far" in shown) is (again.get("environment_id") != "other")


def test_a_machine_that_cannot_hold_a_trial_verifies_none(done, train_again):
    """On the CPU alone its bits would be other ones: told before anything is started."""
    again = train_again()
    options = Options("store", overrides=("resources.gpus=999",))
    with pytest.raises(UserError, match="no node has them") as error:
        sweep_commands.verify("toy.yaml", 1, options, Output())
    assert error.value.faults[0].mend == (
        "verify on a machine like theirs, with the same installation and resources"
    )
    assert again == []


def test_the_document_of_verify(done, train_again, capsys):
    """Says what could not be compared, also when nothing could."""
    train_again(environment_id="new")
    with pytest.raises(UserError):
        sweep_commands.verify("toy.yaml", 1, Options("store"), Output(is_json=True))
    document = json.loads(capsys.readouterr().out)
    assert (document["verified"], document["differences"]) == ([], [])
    assert len(document["not_comparable_here"]) == 5
    assert document["environment_id"] == "new"


def test_an_interrupted_verify_leaves_nothing_behind(done, tmp_path, make_task, monkeypatch):
    """A trial that hangs is interrupted: its process ends, its store is removed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def hanging(prepared, _options, run_id, _work):
        return [make_task(4, store=prepared.store.uri, run_id=run_id)]

    monkeypatch.setattr("orchestrator.running.verification.make_tasks", hanging)
    pids: list[int] = []

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not pids and time.monotonic() < deadline:
            pids.extend(
                json.loads(text)["pid"]
                for path in scratch.glob("*/store/seen/*")
                if (text := path.read_text()).endswith("}")
            )
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        verify(done, done_of(done), 1, Options("store"))
    thread.join()
    deadline = time.monotonic() + 30
    while is_alive(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pids[0])
    assert list(scratch.iterdir()) == []
