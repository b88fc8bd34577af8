"""`minima plan --benchmark`: what is timed, and what of it the plan tells."""

from __future__ import annotations

import json
import math
import threading

import pytest

from orchestrator import cli
from orchestrator.commands import benchmark
from orchestrator.commands.benchmark import timed_here
from orchestrator.commands.plan_command import plan
from orchestrator.machine.console import Output
from orchestrator.planning.estimate import START_SECONDS
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, prepare
from workers.contract.errors import UserError
from workers.contract.pace_question import PaceAnswer, PaceQuestion

GRID = {"batch_size": [32, 64], "learning_rate": [0.1, 0.2]}


HERE = Node("here", cpus=3, gpus=0, memory=2**34)


@pytest.fixture
def answers(monkeypatch):
    """Answer for the process that trains: 10 s, 20 s and 60 s for batches of 32, half for those of 64."""
    asked, turn = [], threading.Lock()

    def answer(module, question, surroundings):
        with turn:
            asked.append((module, PaceQuestion.model_validate_json(question), surroundings))
            seconds = [10.0, 20.0, 60.0][(len(asked) - 1) % 3]
        size = asked[-1][1].trial.batch_size
        return PaceAnswer(seconds=seconds * 32 / size).model_dump_json()

    monkeypatch.setattr(benchmark, "ask_apart", answer)
    return asked


def timed(machine=HERE):
    """Prepare the toy sweep, with times taken on a machine, of three cores by default."""
    options = Options("store")
    return timed_here(prepare("toy.yaml", options), options, machine)


def test_each_batch_size_is_timed_as_often_as_trials_run_at_once(toy_sweep, answers):
    """By the mean of all; the first of the plan's questions has its threads, data and seconds' worth of steps."""
    toy_sweep(grid=GRID, seeds=2, measure=["losses"])
    prepared = timed()
    assert [question.trial.batch_size for _, question, _ in answers] == [32, 32, 32, 64, 64, 64]
    module, question, surroundings = answers[0]
    assert module == "workers.attempts.training_pace"
    assert (question.num_threads, question.uses_gpu, question.data_dir) == (1, False, None)
    assert surroundings["CUDA_VISIBLE_DEVICES"] == "-1"
    estimator = prepared.estimator
    training = {
        each.planned.trial.batch_size: estimator.training_seconds(each.planned.trial)
        for each in prepared.missing
    }
    assert training == {32: START_SECONDS + 30.0, 64: START_SECONDS + 15.0}
    assert estimator.source == "by steps timed on this machine"


@pytest.mark.parametrize(
    "case",
    [
        (1, None, ["0", "1"]),
        (2, "4,5,6,7", ["4,5", "6,7"]),
        ("1/2", "GPU-a,GPU-b", ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]),
    ],
)
def test_each_trial_is_timed_on_its_own_devices(toy_sweep, answers, monkeypatch, case):
    """As many as fit, side by side; trials of a share have one GPU together."""
    gpus, visible, shown = case
    toy_sweep(seeds=4, measure=["losses"], resources={"gpus": gpus, "cpus": 1})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    number = 2 if visible is None else visible.count(",") + 1
    timed(Node("here", cpus=8, gpus=number, memory=2**34))
    found = sorted(surroundings["CUDA_VISIBLE_DEVICES"] for _, _, surroundings in answers)
    assert found == shown
    assert all(question.uses_gpu for _, question, _ in answers)


def test_statistics_are_estimated_by_the_fastest_training(toy_sweep, answers):
    """A gradient counts 3 multiply-adds where an epoch counts 3.2; traces are stated at 2.6 gradients."""
    toy_sweep(grid=GRID, seeds=1, measure=["traces"], training={"epochs": 4})
    prepared = timed()
    item = prepared.missing[0]
    (statistic,) = item.statistics
    seconds = prepared.estimator.statistic_seconds(statistic.statistic, statistic.statistic_id, 32)
    assert seconds == pytest.approx(START_SECONDS + 2.6 * 3 / 3.2 * 15.0 / 4)


def test_so_many_steps_take_seconds(toy_sweep, answers):
    """By the stated speed; never fewer than four, and of a plugin, which tells no multiply-adds, some."""
    toy_sweep(seeds=1, measure=["losses"])
    prepared = prepare("toy.yaml", Options("store"))
    trial, estimator = prepared.missing[0].planned.trial, prepared.estimator
    of_step = estimator.training_seconds(trial) * 32 / 1437
    assert benchmark._num_steps(trial, estimator) == math.ceil(2.0 / of_step)
    slow = estimator.timed(trial, {32: 1e6})
    assert benchmark._num_steps(trial, slow) == 4
    unknown = estimator.timed(trial, {32: math.nan})
    assert benchmark._num_steps(trial, unknown) == 20


def test_without_a_trial_to_train_nothing_is_timed(toy_sweep, answers, finish_trial):
    """What is recorded tells of the rest."""
    toy_sweep(measure=["losses"], seeds=1)
    options = Options("store")
    prepared = prepare("toy.yaml", options)
    finish_trial(prepared.store, prepared.missing[0].planned, prepared.plan.statistics)
    assert not timed().estimator.is_timed
    assert not answers


def test_a_cluster_is_not_timed(toy_sweep, answers, monkeypatch, capsys):
    """Its nodes are other machines; the cure is said, and nothing was started."""
    toy_sweep(seeds=1, measure=["losses"])
    options = Options("store", address="ray://head:10001")
    with pytest.raises(UserError) as caught:
        plan("toy.yaml", options, Output(), is_timing=True)
    (fault,) = caught.value.faults
    assert (fault.what, fault.where, fault.mend) == (
        "the benchmark times this machine, and the plan is for a cluster",
        "--benchmark",
        "leave out --address and RAY_ADDRESS; of a cluster its recorded trials tell",
    )
    assert not answers


def test_a_process_that_ends_is_told(toy_sweep, monkeypatch):
    """It is no estimate, and no stack trace."""
    toy_sweep(seeds=1, measure=["losses"])
    monkeypatch.setattr(benchmark, "ask_apart", lambda *_: None)
    with pytest.raises(UserError) as caught:
        timed()
    (fault,) = caught.value.faults
    assert fault.what == "the process that trains 'mlp' in batches of 32 ended without an answer"
    assert (fault.where, fault.mend) == (
        "--benchmark",
        "leave it out, and run a trial: its log tells more",
    )


@pytest.mark.slow
def test_the_command_trains_a_few_steps_and_writes_nothing(
    toy_sweep, tmp_path, monkeypatch, capsys
):
    """In processes of its own, with TensorFlow; the times are finite and the store is not there."""
    toy_sweep(grid=GRID, seeds=1, measure=["losses"], training={"epochs": 100})
    monkeypatch.setattr("sys.argv", ["minima", "plan", "toy.yaml", "--benchmark", "--json"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["estimated_by"]["source"] == "by steps timed on this machine"
    assert 0 < document["seconds_left"] < math.inf
    assert not (tmp_path / "minima-store").exists()
