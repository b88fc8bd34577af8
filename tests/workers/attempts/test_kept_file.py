"""A kept network is data of unknown origin: what it may hold, and that it computes what its spec says."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from workers.attempts.kept_file import UnsafeNetwork, check_architecture, read_network
from workers.attempts.kept_model import build_model, from_bytes, of_trial, to_bytes
from workers.contract.specs import PluginSpec
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.weights import digest_of_weights

UNNAMED = """
import keras

@keras.saving.register_keras_serializable("unnamed")
class Tripled(keras.layers.Layer):
    def call(self, inputs):
        return 3 * inputs

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    values = keras.layers.Dense(4, activation="relu")(Tripled()(keras.layers.Flatten()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(values))
"""


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def with_config(content: bytes, change) -> bytes:
    """The same archive, its description changed; weights and their digest stay."""
    parts = entries(content)
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    return packed(parts | {"config.json": json.dumps(config).encode()})


def with_weights(content: bytes, change) -> bytes:
    parts = entries(content)
    stream = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        change(file)
    return packed(parts | {"model.weights.h5": stream.getvalue()})


@pytest.fixture
def kept(make_trial, toy_dataset):
    """A kept perceptron, as bytes."""
    return to_bytes(build_model(make_trial(), toy_dataset, "float32"))


def linear(layers) -> None:
    next(each for each in layers if each["name"] == "hidden0")["config"]["activation"] = "linear"


def test_another_architecture_with_the_same_weights_is_refused(kept, make_trial, toy_dataset):
    """`linear` for `relu` leaves every weight and their digest; the network computes other numbers."""
    changed = with_config(kept, linear)
    read = from_bytes(changed, make_trial())
    assert digest_of_weights(read) == digest_of_weights(from_bytes(kept, make_trial()))
    inputs = toy_dataset.train.inputs[:5].astype("float32")
    assert not np.allclose(read(inputs), from_bytes(kept, make_trial())(inputs))
    with pytest.raises(UnsafeNetwork, match=r"^its architecture is not the one of the spec: config\.layers\[2\]\.config\.activation is 'linear', not 'relu'$"):  # fmt: skip
        of_trial(changed, make_trial(), toy_dataset)


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[3]["config"].update(trainable=False),
        lambda layers: layers[2]["config"]["dtype"]["config"].update(name="mixed_bfloat16"),
        lambda layers: layers[2]["config"].update(kernel_regularizer="l2"),
    ],
)
def test_every_option_of_a_layer_belongs_to_the_architecture(kept, make_trial, toy_dataset, change):
    """What is trained, the precision and a regulariser decide numbers as an activation does."""
    with pytest.raises(UnsafeNetwork, match="its architecture is not the one of the spec"):
        of_trial(with_config(kept, change), make_trial(), toy_dataset)


@pytest.mark.parametrize("model", [MLPSpec(hidden_units=[5]), ResNetSpec(depth=8)])
def test_a_network_that_was_not_changed_is_read(make_trial, toy_dataset, model):
    """Weight by weight, whatever Keras counted up in between."""
    trial = make_trial(model=model)
    built = build_model(trial, toy_dataset, "float32")
    read = of_trial(to_bytes(built), trial, toy_dataset)
    assert digest_of_weights(read) == digest_of_weights(built)


def test_names_that_keras_counts_up_are_no_part_of_the_architecture(
    make_trial, toy_dataset, tmp_path, monkeypatch
):
    """A user's layers without names get others in each process; an option still counts."""
    (tmp_path / "unnamed_plugin.py").write_text(UNNAMED)
    monkeypatch.syspath_prepend(str(tmp_path))
    trial = make_trial(model=PluginSpec(name="unnamed_plugin:build", settings={}))
    built = build_model(trial, toy_dataset, "float32")
    content = to_bytes(built)
    assert digest_of_weights(of_trial(content, trial, toy_dataset)) == digest_of_weights(built)

    def change(layers):
        layers[3]["config"]["activation"] = "linear"

    with pytest.raises(UnsafeNetwork, match=r"activation is 'linear', not 'relu'"):
        of_trial(with_config(content, change), trial, toy_dataset)


def layer(class_name: str, module: str = "keras.layers", **config: object) -> dict[str, object]:
    """Describe a layer as Keras does, to stand first behind the inputs."""
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "foreign", **config},
        "registered_name": None,
        "name": "foreign",
        "inbound_nodes": [],
    }


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (layer("Lambda", function={"class_name": "__lambda__"}), "Lambda runs code or reads files"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "StringLookup runs code or reads files"),
        (layer("TFSMLayer", filepath="saved"), "TFSMLayer runs code or reads files"),
        (layer("Popen", "subprocess"), r"subprocess\.Popen is unknown here"),
        (layer("load_model", "keras.saving"), r"keras\.saving\.load_model is unknown here"),
        (
            layer("Dense", activation={"class_name": "function", "module": "os", "config": "system"}),
            r"os\.function is unknown here: neither a layer of Keras nor registered",
        ),
    ],
)  # fmt: skip
def test_what_runs_code_or_reads_files_is_refused_before_keras_sees_it(
    kept, monkeypatch, foreign, message
):
    """By its name in the description; the loader is never reached."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(UnsafeNetwork, match=message):
        read_network(with_config(kept, lambda layers: layers.append(foreign)))


def test_an_archive_holds_three_stored_entries(kept, monkeypatch):
    """No way out of its folder, nothing further, nothing that grows when it is read."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    parts = entries(kept)
    with pytest.raises(UnsafeNetwork, match=r"^it holds \.\./\.\./outside, config\.json, "):
        read_network(packed(parts | {"../../outside": b"x"}))
    with pytest.raises(UnsafeNetwork, match="is compressed, which Keras never does"):
        read_network(packed(parts | {"metadata.json": b" " * 10**6}, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.update({"soft": h5py.SoftLink("/layers")}), "hold a link at soft"),
        (lambda file: file.update({"far": h5py.ExternalLink("x.h5", "/")}), "hold a link at far"),
        (
            lambda file: file.create_dataset("huge", (10**12,), "f4", chunks=(2**20,), compression=9),
            r"declare 4\d{12} bytes in a file of \d+",
        ),
        (
            lambda file: file.create_dataset("out", (4,), "f4", external=[("/etc/passwd", 0, 16)]),
            "lead to another file at out",
        ),
    ],
)  # fmt: skip
def test_weights_lie_in_the_file_itself(kept, monkeypatch, change, message):
    """No links, no arrays elsewhere, none larger than the file."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(UnsafeNetwork, match=message):
        read_network(with_weights(kept, change))


def test_architectures_are_compared_layer_by_layer():
    """A layer more, a connection elsewhere; two builds of one network are the same."""

    def network(*units):
        values = inputs = keras.Input((3,))
        for each in units:
            values = keras.layers.Dense(each)(values)
        return keras.Model(inputs, values)

    check_architecture(network(2, 2), network(2, 2))
    with pytest.raises(UnsafeNetwork, match=r"config\.layers is \[.*, not \["):
        check_architecture(network(2, 2, 2), network(2, 2))
