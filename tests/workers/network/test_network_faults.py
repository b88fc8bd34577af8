"""Networks that cannot be trained or measured on their data are refused with the cure."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from workers.datasets.dataset import Dataset, Split
from workers.models import mlp, resnet
from workers.models.mlp import MLPSpec
from workers.models.resnet import ResNetSpec
from workers.network.network_faults import faults_of

layers = keras.layers
OWN_DTYPE = "build it without a dtype of its own; training.precision chooses one"


@pytest.fixture(scope="module")
def dataset():
    """Ten examples of 4 × 4 × 2 in three classes, normalised."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (10, 4, 4, 2)).astype(np.uint8)
    split = Split(inputs, np.eye(3, dtype=np.float32)[np.arange(10) % 3])
    half, scale = np.full(2, 128, np.float32), np.full(2, 1 / 64, np.float32)
    return Dataset(split, split, half, scale, is_classification=True, digest="d")


def network(between=lambda x: x, *, shape=(4, 4, 2), num_outputs=3, **dense):
    """A linear network of one layer and something before it."""
    inputs = keras.Input(shape)
    values = layers.Flatten()(between(inputs))
    return keras.Model(inputs, layers.Dense(num_outputs, name="last", **dense)(values), name="own")


def always(layer):
    return lambda x: layer(x, training=True)


def nested(layer):
    inner = keras.Input((4, 4, 2))
    return keras.Model(inner, always(layer)(inner))


class LossInTraining(layers.Layer):
    """A loss that is added in training mode alone."""

    def call(self, inputs, training=False):  # noqa: FBT002 - as Keras calls it
        if training:
            self.add_loss(keras.ops.mean(inputs))
        return inputs


class Noise(layers.Layer):
    """Noise in every mode."""

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs))


OWN_LOSS = (
    "the model 'own' has a regulariser or loss of its own, which is never added",
    "leave it out; training.weight_decay is the L2 term on kernels",
)
BROKEN = {
    "input shape": (
        lambda: network(shape=(8, 8, 1)),
        "the model 'own' takes examples of shape (8, 8, 1), and the data have (4, 4, 2)",
        "build it for the input_shape that build() is given",
    ),
    "number of outputs": (
        lambda: network(num_outputs=4),
        "the model 'own' gives outputs (None, 4), not (None, 3)",
        "end it in Dense(num_outputs), the raw outputs [batch, num_outputs]",
    ),
    "softmax": (
        lambda: network(activation="softmax"),
        "the model 'own' ends in a softmax, and kld applies another to its outputs",
        "end it in raw outputs, without the activation",
    ),
    "nothing to train": (
        lambda: network(trainable=False),
        "the model 'own' has no weights to train",
        "give it a layer with trainable weights",
    ),
    "regulariser": (lambda: network(kernel_regularizer="l2"), *OWN_LOSS),
    "activity regulariser": (lambda: network(activity_regularizer="l2"), *OWN_LOSS),
    "layer of activity": (lambda: network(layers.ActivityRegularization(l2=0.5)), *OWN_LOSS),
    "loss in training alone": (lambda: network(LossInTraining()), *OWN_LOSS),
    "constraint": (
        lambda: network(kernel_constraint="non_neg"),
        "the weight 'last/kernel' has a constraint, which is never applied",
        "leave the constraint out",
    ),
    "noise": (
        lambda: network(Noise()),
        "the model 'own' gives the same examples different outputs each time",
        "let no layer draw random numbers in inference mode",
    ),
    "mean over the batch": (
        lambda: network(lambda x: x - keras.ops.mean(x, axis=0, keepdims=True)),
        "the model 'own' gives an example different outputs in a batch than alone",
        "combine nothing across the first axis, in inference mode",
    ),
}


@pytest.mark.parametrize(("build", "what", "mend"), BROKEN.values(), ids=BROKEN)
def test_each_fault_is_told_with_its_cure(build, what, mend, dataset):
    """Whatever layer it is in."""
    [fault] = faults_of(build(), dataset, "kld")
    assert (fault.what, fault.where, fault.mend) == (what, "model", mend)


def test_looking_for_faults_moves_nothing(dataset):
    """Neither moving averages nor the states of layers that draw, though it calls in training mode."""
    model = network(lambda x: layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    before = [each.numpy() for each in model.variables]
    assert faults_of(model, dataset, "kld") == []
    assert len(before) == 7
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


FIXED = {
    "batch norm": lambda: network(always(layers.BatchNormalization(name="fixed"))),
    "dropout": lambda: network(always(layers.Dropout(0.5, name="fixed"))),
    "within a network": lambda: network(nested(layers.BatchNormalization(name="fixed"))),
}


@pytest.mark.parametrize("build", FIXED.values(), ids=FIXED)
def test_a_mode_of_a_layers_own_is_refused(build, dataset):
    """Keras overrides it: in inference mode batch norm would be frozen all the same."""
    [fault] = faults_of(build(), dataset, "kld")
    assert fault.what == "the layer 'fixed' is called with training=True, which is overridden"
    assert fault.where == "model, layer 'fixed'"
    assert fault.mend == (
        "call it without `training`; to freeze a batch norm, make it with trainable=False"
    )


def test_a_batch_norm_frozen_by_its_call_is_refused_too(dataset):
    """Training would train it; one that is made untrainable is frozen indeed."""
    norm = layers.BatchNormalization(name="fixed")
    [fault] = faults_of(network(lambda x: norm(x, training=False)), dataset, "kld")
    assert fault.what == "the layer 'fixed' is called with training=False, which is overridden"
    assert faults_of(network(layers.BatchNormalization(trainable=False)), dataset, "kld") == []


def test_a_model_that_is_no_graph_is_refused(dataset):
    """Before anything is asked of its shapes, which it may not have."""

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    [fault] = faults_of(Own(name="mine"), dataset, "kld")
    assert fault.what == (
        "the model 'mine' of class Own is not a graph of layers with one input and one output"
    )
    assert fault.mend == "build it with the functional API: keras.Model(inputs, outputs)"


class Tempered(keras.Model):
    """A graph of layers, and what its call adds to it."""

    def call(self, inputs, training=None, mask=None):
        return 3.0 * super().call(inputs, training=training, mask=mask)


class TemperedStack(keras.Sequential):
    """The same of a stack."""

    def call(self, inputs, training=None, mask=None):
        return 3.0 * super().call(inputs, training=training, mask=mask)


class Named(keras.Model):
    """A class of its own, which leaves the call as it is."""


def tempered():
    plain = network()
    return Tempered(plain.input, plain.output, name="own")


def tempered_part():
    inputs = keras.Input((4, 4, 2))
    return Tempered(inputs, layers.Flatten()(inputs), name="hot")


def called_anew():
    model = network()
    plain = model.call
    model.call = lambda inputs, **options: 3.0 * plain(inputs, **options)
    return model


CALLED = {
    "the model": (tempered, "own"),
    "its instance": (called_anew, "own"),
    "a stack": (
        lambda: TemperedStack(
            [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3)], name="own"
        ),
        "own",
    ),
    "a nested network": (lambda: network(tempered_part()), "hot"),
    "a network within a nested one": (
        lambda: network(keras.Sequential([keras.Input((4, 4, 2)), tempered_part()])),
        "hot",
    ),
}


@pytest.mark.parametrize(("build", "name"), CALLED.values(), ids=CALLED)
def test_a_graph_with_a_call_of_its_own_is_refused(build, name, dataset):
    """It would be trained by that call, and measured as the graph without it."""
    [fault] = faults_of(build(), dataset, "kld")
    assert fault.what == (
        f"the model {name!r} has a call() of its own, which its graph of layers, by which it is "
        "measured, does not hold"
    )
    assert fault.where == ("model" if name == "own" else "model, layer 'hot'")
    assert fault.mend == (
        "leave call() out, and give what it adds to a layer of your own that the graph calls"
    )


def test_a_class_of_ones_own_that_is_called_as_its_graph_is_none(dataset):
    """Nor is a nested network without a graph, which is measured by its call."""

    class Opaque(keras.Model):
        def call(self, inputs):
            return 2 * inputs

        def compute_output_shape(self, shape):
            return shape

    plain = network(Opaque())
    assert faults_of(Named(plain.input, plain.output), dataset, "kld") == []


@pytest.mark.parametrize(
    ("dtype", "compute", "weights"),
    [
        ("float16", "float16", "float16"),
        ("mixed_float16", "float16", "float32"),
        ("float64", "float64", "float64"),
        ("mixed_bfloat16", "bfloat16", "float32"),
    ],
)
def test_other_precisions_than_the_sweeps_are_refused(dtype, compute, weights, dataset):
    """By the layer's name."""
    [fault] = faults_of(network(dtype=dtype), dataset, "kld")
    assert fault.what == (
        f"the layer 'last' computes in {compute} on weights in {weights}, where the precision is float32"
    )
    assert fault.where == "model, layer 'last'"
    assert fault.mend == OWN_DTYPE


def test_inputs_of_another_precision_are_refused(dataset):
    """Examples are given in float32."""
    inputs = keras.Input((4, 4, 2), dtype="float64")
    values = layers.Rescaling(1.0, dtype="float32")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(values)), name="own")
    [fault] = faults_of(model, dataset, "kld")
    assert fault.what == "the model 'own' takes inputs in float64, not float32"
    assert fault.mend == OWN_DTYPE


def test_faults_are_told_all_at_once(dataset):
    """Shapes, precision, objective, outputs."""
    model = network(
        shape=(8, 8, 1),
        num_outputs=4,
        dtype="float64",
        kernel_regularizer="l2",
        activation="softmax",
    )
    found = [fault.what for fault in faults_of(model, dataset, "kld")]
    assert len(found) == 5


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_sound_networks_have_none(precision, dataset):
    """Built-in ones, of open image sizes, with a softmax for a loss that takes probabilities."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        networks = [
            mlp.build(MLPSpec(hidden_units=[5]), (4, 4, 2), 3, 0),
            resnet.build(ResNetSpec(depth=8), (4, 4, 2), 3, 0),
            network(lambda x: layers.Dropout(0.5)(layers.BatchNormalization()(x))),
        ]
    finally:
        keras.config.set_dtype_policy(before)
    for model in networks:
        assert faults_of(model, dataset, "kld", precision) == []
    inputs = keras.Input((None, None, 2))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(inputs))
    probabilities = keras.Model(inputs, layers.Softmax()(pooled))
    assert faults_of(probabilities, dataset, "squared_error") == []
