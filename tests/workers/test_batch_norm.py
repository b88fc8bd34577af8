"""Population statistics of batch norm, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from workers import batch_norm
from workers.contract.errors import UserError
from workers.datasets.dataset import Dataset, Split
from workers.resident import make_resident
from workers.statistics.context import SharedInMemory
from workers.statistics.passes import Passes

layers = keras.layers


class NoPartials:
    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


@pytest.fixture
def train():
    """60 images of 4 × 4 × 2, far from zero."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 2)).astype(np.uint8)
    split = Split(pixels, np.zeros((60, 3), np.float32))
    offset, scale = np.float32([0]), np.float32([0.1])
    return make_resident(split, Dataset(split, split, offset, scale, True, ""))  # noqa: FBT003 - as given


def network(depth=1):
    inputs = keras.Input((4, 4, 2))
    x = inputs
    for _ in range(depth):
        x = layers.BatchNormalization()(layers.Conv2D(2, 3, padding="same")(x))
        x = layers.ReLU()(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def norms(model):
    return [each for each in model.layers if isinstance(each, layers.BatchNormalization)]


def freeze(model, train, monkeypatch, batch_size):
    monkeypatch.setattr(batch_norm, "_BATCH_SIZE", batch_size)
    copy = batch_norm.copy_network(model)
    batch_norm.freeze(copy, "frozen", lambda: train, Passes(NoPartials(), 0), SharedInMemory())
    return copy


def not_needed():
    raise AssertionError("the training set was asked for")


def test_the_first_layers_statistics_are_exact_whatever_the_batches(train, monkeypatch):
    """Means and uncorrected variances over all places of all examples, from 7 batches."""
    model = network()
    copy = freeze(model, train, monkeypatch, batch_size=9)
    conv = keras.Model(model.input, model.layers[1].output)
    values = conv(train.batch(np.arange(60))[0]).numpy().astype(np.float64).reshape(-1, 2)
    [norm] = norms(copy)
    np.testing.assert_allclose(norm.moving_mean, values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, values.var(0), rtol=1e-5)


def test_deeper_statistics_are_exact_in_one_batch_and_near_in_several(train, monkeypatch):
    """Applied in inference mode, one batch's statistics give the outputs of training mode."""
    model = network(depth=3)
    inputs, _ = train.batch(np.arange(60))
    whole = freeze(model, train, monkeypatch, batch_size=60)
    np.testing.assert_allclose(
        whole(inputs, training=False), model(inputs, training=True), rtol=1e-4, atol=1e-4
    )
    cut = freeze(model, train, monkeypatch, batch_size=20)
    for one, other in zip(norms(whole), norms(cut), strict=True):
        deviation = np.sqrt(one.moving_variance)
        assert (np.abs(one.moving_mean - other.moving_mean) < 0.1 * deviation).all()


def test_the_given_model_keeps_its_weights_and_moving_statistics(train, monkeypatch):
    """Only the copy changes."""
    model = network(depth=2)
    before = [np.array(weight) for weight in model.get_weights()]
    freeze(model, train, monkeypatch, batch_size=20)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_moving_averages_take_no_pass():
    """The copy's statistics stay those that Keras kept."""
    model = network()
    norms(model)[0].moving_mean.assign([3.0, 4.0])
    copy = batch_norm.copy_network(model)
    batch_norm.freeze(copy, "moving_average", not_needed, Passes(NoPartials(), 0), SharedInMemory())
    np.testing.assert_array_equal(norms(copy)[0].moving_mean, [3.0, 4.0])


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_batch_norm_made_untrainable_keeps_its_moving_statistics(is_nested, train, monkeypatch):
    """To the bit, in every mode; the one behind it has the population's of what comes out of it."""
    model = network(depth=2)
    first, second = norms(model)
    first.trainable = False
    first.moving_mean.assign([0.3, -0.7])
    first.moving_variance.assign([1.9, 0.1])
    inputs, _ = train.batch(np.arange(60))
    between = keras.Model(model.input, second.input)
    reached = between(inputs, training=True).numpy().astype(np.float64).reshape(-1, 2)
    np.testing.assert_array_equal(between(inputs, training=False), between(inputs, training=True))
    if is_nested:
        outer = keras.Input((4, 4, 2))
        model = keras.Model(outer, model(outer))
    copy = freeze(model, train, monkeypatch, batch_size=9)
    frozen, free = norms(copy.layers[1] if is_nested else copy)
    assert (frozen.trainable, free.trainable) == (False, True)
    np.testing.assert_array_equal(frozen.moving_mean, first.moving_mean)
    np.testing.assert_array_equal(frozen.moving_variance, first.moving_variance)
    np.testing.assert_allclose(free.moving_mean, reached.mean(0), rtol=1e-5)
    np.testing.assert_allclose(free.moving_variance, reached.var(0), rtol=1e-5)


def test_a_second_copy_takes_what_the_first_has_kept(train):
    """The same bits in every layer, without a look at the training set."""
    model, shared, passes = network(depth=3), SharedInMemory(), Passes(NoPartials(), 0)
    first, second = batch_norm.copy_network(model), batch_norm.copy_network(model)
    batch_norm.freeze(first, "frozen", lambda: train, passes, shared)
    batch_norm.freeze(second, "frozen", not_needed, passes, shared)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_without_batch_norm_needs_no_pass():
    """Nor anything kept."""
    plain, shared = keras.Sequential([keras.Input((3,)), layers.Dense(2)]), SharedInMemory()
    copy = batch_norm.copy_network(plain)
    batch_norm.freeze(copy, "frozen", not_needed, Passes(NoPartials(), 0), shared)
    assert copy.count_params() == plain.count_params()


def test_batch_norms_that_cannot_be_frozen_are_refused():
    """A call with training=True, and another axis than the last, by the layers' names."""
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="always")(inputs, training=True)
    model = keras.Model(inputs, layers.BatchNormalization(axis=1, name="rows")(x))
    with pytest.raises(UserError) as caught:
        batch_norm.copy_network(model)
    always, rows = caught.value.faults
    assert always.what == (
        "the batch norm 'always' is called with training=True, so that an example's outputs "
        "depend on its batch"
    )
    assert always.where == "model, layer 'always'"
    assert always.mend == "call the layer without `training`"
    assert rows.what == "the batch norm 'rows' normalises over axis 1"
    assert rows.where == "model, layer 'rows'"
    assert rows.mend == "use axis=-1"


def test_moments_of_nested_networks_and_plain_features_are_taken_too(monkeypatch):
    """A batch norm within a network within a network, without γ and β, on inputs [B, features]."""
    inner = keras.Sequential(
        [keras.Input((3,)), layers.BatchNormalization(center=False, scale=False), layers.Dense(2)]
    )
    inputs = keras.Input((3,))
    model = keras.Model(inputs, inner(inputs))
    features = np.random.default_rng(0).normal(2, 3, (60, 3)).astype(np.float32)
    split = Split(features, np.zeros((60, 2), np.float32))
    train = make_resident(split, Dataset(split, split, np.float32([0]), np.float32([1]), False, ""))  # noqa: FBT003 - as given
    copy = freeze(model, train, monkeypatch, batch_size=25)
    [norm] = copy.get_layer(inner.name).layers[:1]
    np.testing.assert_allclose(norm.moving_mean, features.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, features.var(0), rtol=1e-5)


def test_sequential_models_are_graphs_and_others_are_refused():
    """A subclass without a graph of layers is told how to build it."""

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    assert len(norms(batch_norm.copy_network(plain))) == 1
    with pytest.raises(UserError) as caught:
        batch_norm.copy_network(Own(name="mine"))
    [fault] = caught.value.faults
    assert fault.what == (
        "the model 'mine' of class Own is not a graph of layers with one input and one output"
    )
    assert fault.where == "model.name"
    assert fault.mend == "build it with the functional API: keras.Model(inputs, outputs)"
