"""θ: which tensors are parameters, in which order, whose they are, which decay, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.attempts.kept_model import build_model, from_bytes, to_bytes
from workers.contract.errors import UserError
from workers.contract.specs import PluginSpec, TrainingSpec
from workers.datasets.dataset import Dataset, Split
from workers.losses.loss import Loss
from workers.models import mlp, resnet
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.batch_norm import copy_network
from workers.network.network_faults import faults_of
from workers.network.params import copying_faults, num_params, params_of
from workers.network.risk import Risk
from workers.training.steps.sgd_step import SGDStep

layers = keras.layers

FREEZE = "freeze whole layers, each with trainable=False of its own"
IN_CONFIG = f"{FREEZE}; a layer of your own must describe its sublayers in get_config()"


@keras.saving.register_keras_serializable("test_params")
class Own(layers.Layer):
    """A layer with weights of its own, trained and not, and a layer within."""

    def build(self, input_shape):
        self.inner = layers.Dense(input_shape[-1], name="sub")
        self.inner.build(input_shape)
        shape = (input_shape[-1],)
        self.scale = self.add_weight(shape=shape, name="scale", initializer="ones")
        self.offset = self.add_weight(shape=shape, name="offset", trainable=False)
        self.built = True

    def call(self, inputs):
        return self.inner(inputs * self.scale + self.offset)


@keras.saving.register_keras_serializable("test_params")
class Scaled(keras.Model):
    """A graph of layers, and a weight beside it."""

    def __init__(self, **options):
        inputs = keras.Input((3,))
        super().__init__(inputs, layers.Dense(3, name="inside")(inputs), **options)
        self.scale = self.add_weight(shape=(3,), name="scale", initializer="ones")

    def get_config(self):
        return {"name": self.name}


def chain(*parts, name="own"):
    """Call layers one after the other on three features."""
    inputs = values = keras.Input((3,))
    for part in parts:
        values = part(values)
    return keras.Model(inputs, values, name=name)


def dense(name, **options):
    return layers.Dense(3, name=name, **options)


def frozen_network():
    inner = chain(dense("first"), dense("second"))
    inner.trainable = False
    return chain(inner, dense("last"))


def shared_layer():
    shared = dense("shared")
    return chain(shared, dense("between"), shared)


def frozen_after():
    model = chain(dense("first"), layers.BatchNormalization(name="norm"), dense("last"))
    for name in ("norm", "last"):
        model.get_layer(name).trainable = False
    return model


RIGHT = {
    "a dense layer": (
        lambda: chain(dense("free"), dense("fixed", trainable=False)),
        ["free/kernel*", "free/bias"],
    ),
    "layers frozen after they were built": (frozen_after, ["first/kernel*", "first/bias"]),
    "a batch norm": (
        lambda: chain(layers.BatchNormalization(trainable=False), dense("last")),
        ["last/kernel*", "last/bias"],
    ),
    "a network within": (frozen_network, ["last/kernel*", "last/bias"]),
    "part of a network within": (
        lambda: chain(chain(dense("first", trainable=False), dense("second")), dense("last")),
        ["second/kernel*", "second/bias", "last/kernel*", "last/bias"],
    ),
    "a layer used twice": (
        shared_layer,
        ["shared/kernel*", "shared/bias", "between/kernel*", "between/bias"],
    ),
    "a layer with weights of its own": (
        lambda: chain(Own(name="own"), dense("last", trainable=False)),
        ["own/scale", "sub/kernel*", "sub/bias"],
    ),
}


@pytest.mark.parametrize(("build", "expected"), RIGHT.values(), ids=RIGHT)
def test_parameters_are_what_keras_trains(build, expected):
    """By the innermost layer that owns each, in Keras' order; stars decay. Kept, copied, alike."""
    model = build()
    copies = [model, copy_network(model), read_back(model)]
    assert faults_of(model, three_features(), "squared_error") == []
    for each in copies:
        found = params_of(each)
        stars = ["*" if one.has_decay else "" for one in found]
        names = [f"{one.layer}/{one.variable.name}" for one in found]
        assert [f"{name}{star}" for name, star in zip(names, stars, strict=True)] == expected
        assert [id(one.variable) for one in found] == [id(v) for v in each.trainable_variables]
        assert num_params(each) == sum(one.values.size for one in found)


def read_back(model):
    """Write the network and read it, as measuring does."""

    class Trial:
        model = MLPSpec()

    return from_bytes(to_bytes(model), Trial)


def three_features():
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    split = Split(values, values)
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    return Dataset(split, split, zeros, ones, is_classification=False, digest="d")


def all_frozen():
    model = chain(dense("first"), dense("last"))
    model.trainable = False
    return model


def thawed_within():
    inner = chain(dense("first"), dense("second"))
    inner.trainable = False
    inner.layers[1].trainable = True
    return chain(inner, dense("last"))


def shared_between():
    shared = dense("shared")
    return chain(chain(shared, dense("x"), name="one"), chain(shared, dense("y"), name="other"))


HALF = "the layer {!r} has trainable=False, and its weight {!r} is trained"
WRONG = {
    "everything frozen": (
        all_frozen,
        [("the model 'own' has no weights to train", "give it a layer with trainable weights")],
    ),
    "a layer thawed in a frozen network": (
        thawed_within,
        [(HALF.format("own", f"first/{name}"), FREEZE) for name in ("kernel", "bias")],
    ),
    "sublayers made after the freezing": (
        lambda: chain(Own(name="mine", trainable=False), dense("last")),
        [(HALF.format("mine", f"mine/sub/{name}"), FREEZE) for name in ("kernel", "bias")],
    ),
    "a layer of two networks": (
        shared_between,
        [
            (
                "the layer 'shared' belongs to more than one network within the model, which Keras "
                "turns into separate layers when it reads the model back",
                "use a layer of its own in each network, or call it outside of them",
            )
        ],
    ),
    "a weight beside the graph": (
        lambda: Scaled(name="mine"),
        [
            (
                "the weight 'mine/scale' belongs to no layer of the model 'mine'",
                "give it to a layer of your own that the graph calls",
            )
        ],
    ),
}


@pytest.mark.parametrize(("build", "expected"), WRONG.values(), ids=WRONG)
def test_lists_that_would_surprise_are_refused(build, expected):
    """With what, where and the cure; asked before training and before each statistic."""
    found = faults_of(build(), three_features(), "squared_error")
    assert [(each.what, each.mend) for each in found] == expected
    assert all(each.where.startswith("model") for each in found)


def frozen_kernel():
    model = chain(dense("first"), dense("last"))
    model.get_layer("last").kernel.trainable = False
    return model


def frozen_sublayer():
    model = chain(Own(name="mine"), dense("last"))
    model.get_layer("mine").inner.trainable = False
    return model


UNKEPT = {
    "a kernel": (frozen_kernel, ["last/kernel"]),
    "a sublayer": (frozen_sublayer, ["mine/sub/kernel", "mine/sub/bias"]),
}


@pytest.mark.parametrize(("build", "paths"), UNKEPT.values(), ids=UNKEPT)
def test_what_is_frozen_and_not_kept_so_is_refused(build, paths):
    """Keras keeps `trainable` of layers that tell it: the copy to be measured would have others."""
    with pytest.raises(UserError) as caught:
        copy_network(build())
    expected = [
        (
            f"the weight {path!r} is frozen, which a copy of the network does not keep",
            "model",
            IN_CONFIG,
        )
        for path in paths
    ]
    assert [(each.what, each.where, each.mend) for each in caught.value.faults] == expected
    model = build()
    assert [each.what for each in copying_faults(model, read_back(model))] == [
        what for what, _, _ in expected
    ]


PLUGIN = """
import keras

def build(settings, input_shape, num_outputs, seed):
    inputs = keras.Input(input_shape)
    dense = keras.layers.Dense(num_outputs, name="last")
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.kernel.trainable = not settings["is_frozen"]
    return model
"""


def test_a_network_that_is_not_kept_as_built_is_refused_before_training(
    make_trial, toy_dataset, tmp_path, monkeypatch
):
    """The kernel would be trained by whoever reads the model; without the freezing it is built."""
    (tmp_path / "params_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = [
        PluginSpec(name="params_plugin:build", settings={"is_frozen": on}) for on in (True, False)
    ]
    with pytest.raises(UserError) as caught:
        build_model(make_trial(model=spec[0]), toy_dataset, "float32")
    [fault] = caught.value.faults
    assert (
        fault.what
        == "the weight 'last/kernel' is frozen, which a copy of the network does not keep"
    )
    assert fault.where == "model of params_plugin:build"
    assert fault.mend == IN_CONFIG
    assert num_params(build_model(make_trial(model=spec[1]), toy_dataset, "float32")) == 64 * 3 + 3


def test_kernels_of_convolutions_and_dense_layers_decay():
    """Seven convolutions and the dense layer of a ResNet-8; no bias, γ or β; within a network too."""
    model = resnet.build(ResNetSpec(depth=8), (8, 8, 1), 3, 0)
    paths = [each.variable.path for each in params_of(model) if each.has_decay]
    assert len(paths) == 8
    assert all(path.endswith("/kernel") for path in paths)
    inputs = keras.Input((8, 8, 1))
    around = params_of(keras.Model(inputs, model(inputs)))
    assert [each.variable.path for each in around if each.has_decay] == paths


def test_parameters_are_counted():
    """6 · 4 + 4."""
    assert num_params(mlp.build(MLPSpec(), (6,), 4, 0)) == 28


class Squares(Loss):
    """½‖z - y‖²."""

    def per_example(self, outputs, targets):
        return tf.reduce_sum(tf.square(outputs - targets), axis=1) / 2


def test_training_moves_and_decays_parameters_alone():
    """A frozen kernel does not shrink, a frozen batch norm keeps its moving statistics in training mode."""
    model = chain(
        dense("fixed", trainable=False),
        layers.BatchNormalization(name="norm", trainable=False),
        dense("free"),
    )
    [norm] = [each for each in model.layers if each.name == "norm"]
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    before = [each.numpy() for each in model.weights]
    step = SGDStep(model, Squares(), TrainingSpec(epochs=1, momentum=0.5, weight_decay=0.1))
    inputs = tf.constant(three_features().train.inputs)
    start = model(inputs, training=False)
    np.testing.assert_array_equal(model(inputs, training=True), start)
    for _ in range(2):
        step.update(step.gradient(inputs, tf.zeros_like(start)).directions, tf.constant(0.1))
    moved = [
        each.path
        for each, old in zip(model.weights, before, strict=True)
        if not np.array_equal(each.numpy(), old)
    ]
    assert moved == ["free/kernel", "free/bias"]
    assert len(step.velocity) == 2


def test_the_risk_has_the_same_list():
    """P of its vectors, and their order."""
    model = RIGHT["part of a network within"][0]()
    risk = Risk(model, Squares())
    assert risk.num_params == num_params(model) == 24
    flat = np.concatenate([each.values.ravel() for each in params_of(model)])
    np.testing.assert_array_equal(risk.params(), flat)
