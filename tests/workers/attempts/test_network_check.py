"""What training and the statistics would refuse of a network is told of it as it is built."""

from __future__ import annotations

import pytest

from workers.attempts.network_check import faults_of
from workers.contract.network_question import NetworkAnswer, NetworkQuestion
from workers.contract.specs import PluginSpec
from workers.datasets.digits import DigitsSpec
from workers.models.mlp import MLPSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.traces import TracesSpec

NETS = """
import keras

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    if settings.get("is_normalised"):
        x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.Dense(4, activation=settings["activation"], name="free")(x)
    outputs = keras.layers.Dense(num_outputs, name="last")(x)
    model = keras.Model(inputs, outputs, name="own")
    model.trainable = settings.get("is_trainable", True)
    return model
"""


@pytest.fixture
def ask(make_trial, tmp_path, monkeypatch):
    """Ask of a network with settings, for statistics."""
    (tmp_path / "network_check_plugin.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(*statistics, **settings):
        dataset = DigitsSpec(num_train=20, num_test=10)
        model = PluginSpec(name="network_check_plugin:build", settings=settings)
        trial = make_trial(model=model if settings else MLPSpec(), dataset=dataset)
        question = NetworkQuestion(trial=trial, statistics=list(statistics), data_dir=None)
        return faults_of(NetworkQuestion.model_validate_json(question.model_dump_json()))

    return call


def test_all_columns_are_refused_of_smooth_networks_alone(ask):
    """ReLU has them, tanh has one column or none."""
    exact = TracesSpec(columns="exact")
    assert ask(exact, activation="relu") == ask(TracesSpec(), activation="tanh") == []
    assert ask(LossesSpec(), activation="tanh") == []
    assert ask(exact) == []  # the built-in ones
    [fault] = ask(exact, LossesSpec(), activation="tanh")
    assert fault.what == (
        "tr H of the model 'own' is not a sum over columns, as not all of it is piecewise linear in its "
        "parameters"
    )
    assert fault.where == "measure, traces, columns"
    assert fault.mend == "give a number, the Hessian-vector products for each batch: columns: 1"


def test_a_layer_without_a_rule_is_told_once(ask):
    """Though two statistics need the rule."""
    settings = {"activation": "relu", "is_normalised": True}
    assert ask(LossesSpec(), **settings) == []
    [fault] = ask(TracesSpec(), NoiseCurvatureSpec(), **settings)
    assert fault.what == "the LayerNormalization layer 'norm' has no rule for per-example gradients"


def test_what_training_refuses_is_told(ask):
    """Nothing to train: by the same words."""
    [fault] = ask(LossesSpec(), activation="relu", is_trainable=False)
    assert fault.what == "the model 'own' has no weights to train"
    assert fault.where == "model of network_check_plugin:build"
    assert fault.mend == "give it a layer with trainable weights"
    answer = NetworkAnswer.of([fault])
    assert NetworkAnswer.model_validate_json(answer.model_dump_json()).read() == [fault]
