"""A user's own network is refused before anything is started or written, by `plan`, `run` and `trial` alike."""

from __future__ import annotations

import sys

import pytest

from orchestrator import cli
from orchestrator.planning.prepare import Options, prepare
from orchestrator.running import network_check
from orchestrator.running.network_check import refuse_network
from workers.contract.errors import user_error
from workers.contract.network_question import NetworkAnswer, NetworkQuestion

NETS = """
import keras

print("a module may say what it likes")

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(4, activation="tanh", name="free")(keras.layers.Flatten()(inputs))
    last = keras.layers.Dense(num_outputs, name="last")
    model = keras.Model(inputs, last(x), name="smooth")
    model.trainable = settings.get("is_trainable", True)
    return model
"""
SWEEP = """
name: smooth
model: {name: "network_check_nets:build"}
dataset: {name: digits, num_train: 100, num_test: 50}
loss: kld
grid: {batch_size: [10], learning_rate: [0.1]}
seeds: 1
training: {epochs: 1}
measure: [{name: traces, columns: exact}, losses]
"""
NO_SUM = (
    "tr H of the model 'smooth' is not a sum over columns, as not all of it is piecewise linear"
)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "network_check_nets.py").write_text(NETS)
    (tmp_path / "smooth.yaml").write_text(SWEEP)


def refused(monkeypatch, capfd, *command):
    monkeypatch.setattr(sys, "argv", ["minima", *command])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capfd.readouterr()
    assert (left.value.code, out) == (2, "")
    return " ".join(err.split())


@pytest.mark.slow
def test_columns_that_a_smooth_network_lacks_are_refused_at_once(tmp_path, monkeypatch, capfd):
    """Exit 2 with what, where, mend; no store is made."""
    said = refused(monkeypatch, capfd, "plan", "smooth.yaml")
    assert NO_SUM in said
    assert "where: smooth.yaml, measure, traces, columns" in said
    assert "mend: give a number, the Hessian-vector products for each batch: columns: 1" in said
    assert not (tmp_path / "minima-store").exists()


TRIAL = ["trial", "--batch-size=10", "--learning-rate=0.1", "--seed=0"]


@pytest.mark.parametrize("command", [["plan"], ["run"], TRIAL], ids=["plan", "run", "trial"])
def test_every_command_that_plans_refuses(command, tmp_path, monkeypatch, capfd):
    """Nothing is started, nothing written."""
    answer = NetworkAnswer(faults=[["no such layer", "model, layer 'x'", "add it"]])
    monkeypatch.setattr(network_check, "_ask", lambda _: answer)
    said = refused(monkeypatch, capfd, *command, "smooth.yaml")
    assert said.endswith("no such layer where: smooth.yaml, model, layer 'x' mend: add it")
    assert not (tmp_path / "minima-store").exists()


def test_what_ended_the_process_is_left_out_of_the_next_question(monkeypatch, capfd):
    """Its end and what is wrong with the rest are told together."""
    asked = []

    def ask(question: str) -> NetworkAnswer:
        asked.append(NetworkQuestion.model_validate_json(question).left_out)
        if not asked[-1]:
            raise user_error("the loss ended it", where="loss", mend="take it out")
        return NetworkAnswer(faults=[["no such layer", "model, layer 'x'", "add it"]])

    monkeypatch.setattr(network_check, "_ask", ask)
    said = refused(monkeypatch, capfd, "plan", "--set", "loss=network_check_nets:build", "smooth.yaml")  # fmt: skip
    assert "the loss ended it where: smooth.yaml, loss mend: take it out" in said
    assert "no such layer where: smooth.yaml, model, layer 'x' mend: add it" in said
    assert asked == [[], ["loss"]]


def settings_of(*overrides):
    options = Options("store", overrides=overrides)
    return prepare("smooth.yaml", options), options


@pytest.mark.slow
def test_a_sound_network_is_not_refused():
    """One column where products do the work."""
    prepared, options = settings_of("measure=[traces, losses]")
    refuse_network(prepared, prepared.open_work, options)


@pytest.mark.parametrize(
    ("overrides", "has_work"),
    [(["model={name: mlp}"], True), ([], False)],
    ids=["built in", "done"],
)
def test_nothing_is_asked_of_built_in_networks_or_without_work(overrides, has_work, monkeypatch):
    """It takes seconds."""

    def fail(*_, **__):
        raise AssertionError("a process was started")

    prepared, options = settings_of(*overrides)
    monkeypatch.setattr(network_check, "ask_apart", fail)
    refuse_network(prepared, prepared.open_work if has_work else [], options)


def test_a_process_that_does_not_answer_refuses_nothing(monkeypatch):
    """Where no plugin had the word, the first attempt will tell what is wrong."""
    prepared, options = settings_of()
    monkeypatch.setattr(network_check, "ask_apart", lambda *_: None)
    refuse_network(prepared, prepared.open_work, options)
