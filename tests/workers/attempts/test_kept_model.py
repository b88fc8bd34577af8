"""The kept network: built, written, read again, of any user's making."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from workers.attempts.kept_model import build_model, from_bytes, in_float32, to_bytes
from workers.contract.errors import UserError
from workers.contract.specs import PluginSpec
from workers.models.resnet import ResNetSpec
from workers.network.weights import digest_of_weights

PLUGIN = """
import keras

@keras.saving.register_keras_serializable("plugin")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    values = Doubled()(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(settings["width"], name="outputs")(values))

def build_nothing(settings, input_shape, num_outputs, seed):
    return "a network"

NUMBER = 3

class Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def build_unkeepable(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    values = Unregistered()(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(values))

def build_lambda(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    values = keras.layers.Lambda(lambda x: 2 * x)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(values))

def build_badly(settings, input_shape, num_outputs, seed):
    return settings["no such key"]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "kept_model_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name, **settings: PluginSpec(name=f"kept_model_plugin:{name}", settings=settings)


def test_a_network_comes_back_with_its_weights(make_trial, toy_dataset):
    """Same digest, same outputs."""
    trial = make_trial(model=ResNetSpec(depth=8))
    model = build_model(trial, toy_dataset, "float32")
    loaded = from_bytes(to_bytes(model), trial)
    assert digest_of_weights(loaded) == digest_of_weights(model)
    inputs = np.ones((2, 8, 8, 1), np.float32)
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=1e-5)


def test_a_network_trained_in_mixed_precision_is_kept_in_float32(make_trial, toy_dataset):
    """The weights are float32 anyway; measured and loaded it computes in float32."""
    trial = make_trial(model=ResNetSpec(depth=8), precision="mixed_bfloat16")
    model = build_model(trial, toy_dataset, "mixed_bfloat16")
    kept = from_bytes(to_bytes(in_float32(model, trial, toy_dataset)), trial)
    assert model(np.zeros((1, 8, 8, 1))).dtype == "bfloat16"
    assert kept(np.zeros((1, 8, 8, 1))).dtype == "float32"
    assert digest_of_weights(kept) == digest_of_weights(model)


def test_a_user_s_own_network_with_layers_of_its_own_is_built_and_read(
    make_trial, toy_dataset, plugin
):
    """Its unseeded weights come from the trial's seed; reading imports its module first."""
    trial = make_trial(model=plugin("build", width=3))
    first, second = (build_model(trial, toy_dataset, "float32") for _ in range(2))
    assert digest_of_weights(first) == digest_of_weights(second)
    assert digest_of_weights(from_bytes(to_bytes(first), trial)) == digest_of_weights(first)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("build", r"gives outputs \(None, 4\), not \(None, 3\)"),
        ("build_nothing", "returned str, not a keras.Model"),
        ("NUMBER", "is int, not a function"),
        ("missing", "cannot be imported"),
        (
            "build_unkeepable",
            r"cannot be kept and read back: kept_model_plugin\.Unregistered is unknown here",
        ),
        ("build_lambda", "cannot be kept and read back: Lambda runs code or reads files"),
        ("build_badly", "raised KeyError: 'no such key'"),
    ],
)
def test_a_user_s_network_that_does_not_fit_is_refused(
    make_trial, toy_dataset, plugin, name, message
):
    """With its name and what it should be."""
    with pytest.raises(UserError, match=message) as error:
        build_model(make_trial(model=plugin(name, width=4)), toy_dataset, "float32")
    assert "kept_model_plugin" in str(error.value)


def test_the_policy_of_the_process_is_left_as_it_was(make_trial, toy_dataset):
    """Building in mixed precision changes nothing for what is built afterwards."""
    build_model(make_trial(), toy_dataset, "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
