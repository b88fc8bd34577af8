"""Networks taken apart: what they compute, what is folded, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.network.graph import is_piecewise_linear
from workers.per_example.dissection import dissect, refuse_without_rules
from workers.per_example.rules.convolution import ConvolutionRule, NormalisedConvolutionRule

layers = keras.layers


def randomised(model):
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return model


def outputs_agree(model):
    images = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    found = dissect(model).network(images, training=False)[0]
    return np.allclose(found, model(images, training=False), rtol=1e-4)


def test_a_batch_norm_is_taken_in_by_the_convolution_it_alone_reads():
    """One rule stands for both, with all their parameters, and the outputs stay the same."""
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    model = randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    dissection = dissect(model)
    [rule] = dissection.rules
    assert isinstance(rule, NormalisedConvolutionRule)
    assert [each.layer for each in dissection.parameters] == ["conv", "conv", "norm", "norm"]
    assert outputs_agree(model)


def test_a_convolution_that_others_read_too_keeps_to_itself():
    """A shortcut from before the batch norm: also through a shared layer's second call."""
    inputs = keras.Input((5, 5, 2))
    relu = layers.ReLU()
    before = layers.Conv2D(3, 3, name="conv")(relu(inputs))
    x = layers.BatchNormalization(name="norm")(before)
    x = layers.Add()([x, relu(before)])
    model = randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    kinds = {type(rule) for rule in dissect(model).rules}
    assert NormalisedConvolutionRule not in kinds
    assert ConvolutionRule in kinds
    assert outputs_agree(model)


def test_a_convolution_that_is_the_output_keeps_to_itself():
    """The network's own output counts as a reader, and so does an activation within the layer."""
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    x = layers.Conv2D(3, 1)(layers.BatchNormalization()(x))
    model = randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    assert NormalisedConvolutionRule not in {type(rule) for rule in dissect(model).rules}
    assert outputs_agree(model)


class Halved(layers.BatchNormalization):
    """A batch norm with a computation of its own."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask) / 2


def with_norm(norm, num_uses):
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 3)(inputs)
    for _ in range(num_uses):
        x = layers.ReLU()(norm(x))
    return randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("make", "num_uses"),
    [(layers.BatchNormalization, 2), (Halved, 1)],
    ids=["a batch norm used twice", "a subclass"],
)
@pytest.mark.parametrize("way", [{"center": False, "scale": False}, {"trainable": False}])
def test_only_a_plain_batch_norm_used_once_is_taken_in(make, num_uses, way):
    """Without trained parameters nothing else refuses it; folded, its other use would be lost."""
    model = with_norm(make(**way), num_uses)
    assert {type(rule) for rule in dissect(model).rules} == {ConvolutionRule}
    assert outputs_agree(model)


def test_a_network_that_computes_something_else_taken_apart_is_refused(monkeypatch):
    """Whatever the reason: here a batch norm is taken in that should not be."""
    model = with_norm(Halved(trainable=False), 1)
    monkeypatch.setattr(
        "workers.per_example.dissection._takes_in",
        lambda reader, _: isinstance(reader.operation, layers.BatchNormalization),
    )
    with pytest.raises(UserError) as caught:
        dissect(model)
    [fault] = caught.value.faults
    told = f"taken apart for per-example gradients, the model {model.name!r} computes other outputs"
    assert (fault.what, fault.where) == (told, "model")
    assert fault.mend == (
        "use layers of Keras as they are, each once, or leave `traces` out of `measure`"
    )


def test_activations_within_layers_are_set_apart():
    """What a rule is shown comes before the activation; the outputs stay the same."""
    inputs = keras.Input((4,))
    x = layers.Dense(3, activation="tanh", name="hidden")(inputs)
    model = randomised(keras.Model(inputs, layers.Dense(2)(x)))
    values = np.float32([[10, 10, 10, 10]])
    _, _, (hidden, _) = dissect(model).network(values)
    assert (np.abs(hidden) > 1).all()
    assert outputs_agree(model)


def test_faults_are_told_all_at_once_with_their_cures():
    """No rule, groups, channels first, inputs of rank 3, and a layer used twice."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 1, groups=2, name="grouped")(inputs)
    x = layers.Conv2D(2, 1, data_format="channels_first", name="first")(x)
    x = layers.DepthwiseConv2D(1, name="depthwise")(x)
    shared = layers.Dense(4, name="shared")
    x = shared(shared(layers.Reshape((-1, 4))(x)))
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    with pytest.raises(UserError) as caught:
        refuse_without_rules(model)
    told = {fault.where: (fault.what, fault.mend) for fault in caught.value.faults}
    cure = "or leave `traces` out of `measure`"
    known = "Conv2D, Dense, BatchNormalization"
    expected = [
        ("grouped", "the Conv2D layer 'grouped' has 2 groups", "use groups=1"),
        (
            "first",
            "the Conv2D layer 'first' has data_format='channels_first'",
            "use 'channels_last'",
        ),
        (
            "depthwise",
            "the DepthwiseConv2D layer 'depthwise' has no rule for per-example gradients",
            f"use {known}",
        ),
    ]
    for name, what, mend in expected:
        assert told[f"model, layer '{name}'"] == (what, f"{mend}, {cure}")
    of_shared = [fault for fault in caught.value.faults if "'shared'" in fault.where]
    assert [(fault.what, fault.mend) for fault in of_shared] == [
        ("the Dense layer 'shared' reads inputs of rank 3", f"flatten its inputs, {cure}"),
        (
            "the Dense layer 'shared' is used 2 times; an example's gradient is then the sum of its uses",
            f"use a layer of its own each time, {cure}",
        ),
    ]
    with pytest.raises(UserError):
        dissect(model)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"lora_rank": 2}, "lora_kernel_a, lora_kernel_b"),
        ({"activation": layers.PReLU()}, "alpha"),
    ],
    ids=["low-rank additions", "an activation with parameters"],
)
def test_parameters_of_a_layer_that_its_rule_does_not_know_are_refused(options, names):
    """Their gradients would be left out of every norm."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="own", **options)(inputs))
    model(np.zeros((1, 4), np.float32))  # an activation makes its parameters when it is first used
    with pytest.raises(UserError) as caught:
        refuse_without_rules(model)
    [fault] = caught.value.faults
    assert fault.what == f"the Dense layer 'own' trains {names} too, which no rule covers"
    assert fault.where == "model, layer 'own'"
    assert fault.mend == "use it without them, or leave `traces` out of `measure`"


@pytest.mark.parametrize("activation", ["relu", "linear", "leaky_relu", "relu6"])
def test_piecewise_linear_networks_are_known(activation):
    """Activations within a layer, or as a layer; pooling, sums and padding."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(2, 3, padding="same", activation=activation)(inputs)
    x = layers.Add()(
        [layers.Activation(activation)(x), layers.ZeroPadding2D()(layers.MaxPooling2D()(x))]
    )
    assert is_piecewise_linear(keras.Model(inputs, layers.Flatten()(x)))


@pytest.mark.parametrize(
    "smooth",
    [
        layers.Activation("tanh"),
        layers.Conv2D(2, 1, activation="gelu"),
        layers.Softmax(),
        layers.ELU(),
        keras.ops.square,
    ],
    ids=["activation layer", "activation of a layer", "softmax", "elu", "square"],
)
def test_other_networks_are_not(smooth):
    """Smooth activations, wherever they are, and operations that are not on the list."""
    inputs = keras.Input((4, 4, 2))
    assert not is_piecewise_linear(keras.Model(inputs, smooth(inputs)))


def test_squares_by_products_of_layers_are_not():
    """A product of two branches is quadratic in what came before."""
    inputs = keras.Input((4,))
    x = layers.Dense(3)(inputs)
    assert not is_piecewise_linear(keras.Model(inputs, layers.Multiply()([x, x])))


OPERATORS = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "-x": lambda x, y: -x,
    "2 * x": lambda x, y: 2.0 * x,
    "x * array": lambda x, y: x * np.float32([1, 2, 3]),
    "x / 4 + 1": lambda x, y: x / 4 + 1.0,
    "3 - x": lambda x, y: 3.0 - x,
    "ops.add": keras.ops.add,
    "ops.subtract": keras.ops.subtract,
    "ops.multiply(x, 2)": lambda x, y: keras.ops.multiply(x, 2.0),
    "ops.divide(x, 2)": lambda x, y: keras.ops.divide(x, 2.0),
}
NOT_LINEAR = {
    "x * y": lambda x, y: x * y,
    "x * x": lambda x, y: x * x,
    "x / y": lambda x, y: x / y,
    "1 / x": lambda x, y: 1.0 / x,
    "ops.divide(1, x)": lambda x, y: keras.ops.divide(1.0, x),
    "x ** 2": lambda x, y: x**2,
}


def branches(join):
    inputs = keras.Input((4,))
    x, y = layers.Dense(3, "relu")(inputs), layers.Dense(3)(inputs)
    return randomised(keras.Model(inputs, layers.Dense(2)(join(x, y))))


@pytest.mark.parametrize("join", OPERATORS.values(), ids=OPERATORS)
def test_sums_and_constant_factors_written_as_operators_are_piecewise_linear(join):
    """`x + y` is as good as layers.Add(), and the network taken apart computes the same."""
    model = branches(join)
    assert is_piecewise_linear(model)
    assert outputs_agree(model)


@pytest.mark.parametrize("join", NOT_LINEAR.values(), ids=NOT_LINEAR)
def test_products_and_quotients_of_tensors_are_not(join):
    """Whatever side the constant is on."""
    assert not is_piecewise_linear(branches(join))
