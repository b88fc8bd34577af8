"""Population statistics of batch norm, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from workers.contract.errors import Drained, UserError
from workers.datasets.dataset import Dataset, Split
from workers.network import batch_norm, batch_norm_stages
from workers.network.resident import make_resident
from workers.process.built import Built
from workers.resumable.keeping import SharedInMemory
from workers.resumable.partials import SavedPartials
from workers.resumable.passes import Passes
from workers.statistics.losses import LossesSpec

layers = keras.layers


class NoPartials:
    def restore(self, key):
        return None

    def advance(self, key, partial, done, total):
        pass


class StoppingPartials:
    """Keeps everything, and stops after so many advances."""

    def __init__(self, stop_after, saved):
        self.left, self.saved = stop_after, saved

    def restore(self, key):
        return self.saved.get(key)

    def advance(self, key, partial, done, total):
        assert done <= total
        self.saved[key], self.left = partial, self.left - 1
        if self.left == 0:
            raise Drained("stopped")


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


def branched():
    """Two batch norms beside one another in every block, a nested one in the second, none needed twice."""
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="first")(inputs)
    for nested in (False, True):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(x)))
        y = layers.Conv2D(3, 3, padding="same", activation="tanh")(y)
        norm = layers.BatchNormalization(scale=False)
        y = keras.Sequential([keras.Input((4, 4, 3)), norm])(y) if nested else norm(y)
        x = layers.BatchNormalization(center=False)(layers.Conv2D(3, 1)(x)) + y
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def freeze(model, train, monkeypatch, batch_size, partials=None):
    monkeypatch.setattr(batch_norm, "_BATCH_SIZE", batch_size)
    copy = batch_norm.copy_network(model)
    passes = Passes(partials or NoPartials(), 0)
    batch_norm.freeze(copy, "frozen", lambda: train, passes, SharedInMemory(), built=Built())
    return copy


def moments(model):
    """List what each batch norm holds."""
    found = [each for each in model._flatten_layers() if type(each) is layers.BatchNormalization]
    return [(each.moving_mean.numpy(), each.moving_variance.numpy()) for each in found]


def read_moments(model, inputs):
    """Call the model layer by layer; take float64 moments of what each batch norm reads."""
    found = {}

    def call(operation, *args, **kwargs):
        if isinstance(operation, keras.Sequential):
            return operation._functional._run_through_graph(args[0], call_fn=call)
        if isinstance(operation, layers.BatchNormalization):
            rows = np.asarray(args[0]).astype(np.float64).reshape(-1, args[0].shape[-1])
            found[operation.name] = (operation, rows.mean(0), rows.var(0))
        return operation(*args, **kwargs)

    model._run_through_graph(inputs, call_fn=call)
    return list(found.values())


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


def test_statistics_are_a_fixed_point(train, monkeypatch):
    """All 7 batch norms hold the moments of what they read over the training set, the others held too.

    Limits: the rounding of float32, of activations and of what the layers hold.
    """
    copy = freeze(branched(), train, monkeypatch, batch_size=9)
    read = read_moments(copy, train.batch(np.arange(60))[0])
    assert len(read) == 7
    for layer, mean, variance in read:
        size = np.sqrt(mean**2 + variance)
        assert (np.abs(layer.moving_mean - mean) < 1e-6 * size).all()
        assert (np.abs(layer.moving_variance - variance) < 1e-6 * size**2).all()


def test_moments_are_those_of_a_plain_float64_computation(train, monkeypatch):
    """A convolution and three batch norms, in NumPy alone, to the rounding of float32: 1e-6 of their size.

    The second and third batch norm read what is normalised already, up to ε and what γ and β make of it.
    """
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization(epsilon=0.1)(x))
    model = keras.Model(inputs, layers.Flatten()(layers.BatchNormalization()(x)))
    generator = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(generator.uniform(0.2, 1, weight.shape))
    copy = freeze(model, train, monkeypatch, batch_size=25)
    kernel, bias, *scales = (each.numpy().astype(np.float64) for each in model.trainable_variables)
    images = train.batch(np.arange(60))[0].numpy().astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    values = np.maximum(np.einsum("nhwcij,ijck->nhwk", windows, kernel) + bias, 0).reshape(-1, 3)
    for number, (mean, variance) in enumerate(moments(copy)):
        size = np.sqrt(np.square(values).mean(0))
        assert (np.abs(mean - values.mean(0)) < 1e-6 * size).all()
        assert (np.abs(variance - values.var(0)) < 1e-6 * size**2).all()
        gamma, beta = scales[2 * number : 2 * number + 2]
        normalised = (values - values.mean(0)) / np.sqrt(values.var(0) + 0.1)
        values = np.maximum(gamma * normalised + beta, 0)


def test_batches_change_statistics_by_rounding_alone(train, monkeypatch):
    """1 batch and 7, of deep layers too; one batch in training mode gives the same outputs."""
    model = network(depth=3)
    whole, cut = (freeze(model, train, monkeypatch, batch_size=size) for size in (60, 9))
    for one, other in zip(moments(whole), moments(cut), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    inputs, _ = train.batch(np.arange(60))
    np.testing.assert_allclose(
        whole(inputs, training=False), model(inputs, training=True), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("num_kept", [0, 2])
def test_activations_that_find_no_room_are_computed_again(train, monkeypatch, num_kept):
    """To the same bits; with room for 2 batches of 4 in the first stages and for more in later ones."""
    model = branched()
    kept = freeze(model, train, monkeypatch, batch_size=15)
    room = num_kept * 15 * 16 * 8 * 4
    monkeypatch.setattr(batch_norm_stages, "_MOST_KEPT_BYTES", room)
    np.testing.assert_equal(
        moments(freeze(model, train, monkeypatch, batch_size=15)), moments(kept)
    )


@pytest.mark.parametrize("stop_after", [1, 6])
def test_stops_leave_no_trace(train, monkeypatch, stop_after):
    """Stopped again and again, within a stage and between two."""
    model, saved, num_stops = network(depth=2), {}, 0
    undisturbed = freeze(model, train, monkeypatch, batch_size=15)
    while True:
        partials = StoppingPartials(stop_after, saved)
        try:
            found = freeze(model, train, monkeypatch, batch_size=15, partials=partials)
        except Drained:
            num_stops += 1
            continue
        break
    assert num_stops == 10 // stop_after  # 2 stages of 4 batches, and the end of each
    np.testing.assert_equal(moments(found), moments(undisturbed))


def test_a_batch_norm_that_was_not_trained_keeps_what_it_holds(train, monkeypatch):
    """What follows is measured behind it as it is."""
    model = network(depth=2)
    first, _ = norms(model)
    first.trainable = False
    first.moving_mean.assign([3.0, 4.0])
    copy = freeze(model, train, monkeypatch, batch_size=20)
    (held, *_), (second, mean, variance) = read_moments(copy, train.batch(np.arange(60))[0])
    np.testing.assert_array_equal(held.moving_mean, [3.0, 4.0])
    np.testing.assert_array_equal(held.moving_variance, [1.0, 1.0])
    np.testing.assert_allclose(second.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(second.moving_variance, variance, rtol=1e-5)


class Composite(layers.Layer):
    """A batch norm that no graph shows."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = layers.BatchNormalization(name="hidden")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs, training=False):  # noqa: FBT002 - as Keras calls it
        return self.inner(inputs, training=training)


def test_batch_norms_without_statistics_of_their_own_are_refused(train, monkeypatch):
    """One used twice and one within another layer, together, before any pass; moving averages do."""
    inputs, twice = keras.Input((4, 4, 2)), layers.BatchNormalization(name="twice")
    model = keras.Model(inputs, Composite()(twice(layers.ReLU()(twice(inputs)))))
    with pytest.raises(UserError) as caught:
        freeze(model, train, monkeypatch, batch_size=20)
    shared, hidden = caught.value.faults
    assert shared.what == (
        "the batch norm 'twice' is used 2 times, and what it reads differs from use to use"
    )
    assert shared.where == "model, layer 'twice'"
    measure = "or measure with bn_mode: moving_average"
    assert shared.mend == f"use a layer of its own each time, {measure}"
    assert hidden.what == (
        "the batch norm 'hidden' lies within another layer, so that its inputs cannot be known"
    )
    assert hidden.where == "model, layer 'hidden'"
    assert hidden.mend == f"call it in the model's own graph, {measure}"
    copy = batch_norm.copy_network(model)
    batch_norm.freeze(
        copy, "moving_average", not_needed, Passes(NoPartials(), 0), SharedInMemory(), built=Built()
    )


def masking():
    inputs = keras.Input((4, 2))
    return inputs, layers.Masking()(inputs)


def embedded():
    inputs = keras.Input((4,))
    return inputs, layers.Embedding(5, 2, mask_zero=True)(inputs)


@pytest.mark.filterwarnings("ignore:Layer 'sequential:UserWarning")  # behind it the mask is lost
@pytest.mark.parametrize("masked", [masking, embedded])
@pytest.mark.parametrize("is_nested", [False, True])
def test_batch_norms_that_read_a_mask_are_refused(masked, is_nested):
    """Keras counts the positions that it leaves alone; behind a layer without masks all positions count."""
    inputs, x = masked()
    norm = layers.BatchNormalization(name="masked")
    x = (keras.Sequential([keras.Input((4, 2)), norm]) if is_nested else norm)(layers.ReLU()(x))
    x = layers.BatchNormalization(name="free")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, x)
    with pytest.raises(UserError) as caught:
        batch_norm._population_moments(model, None, Passes(NoPartials(), 0), Built())
    [fault] = caught.value.faults
    assert fault.what == (
        "the batch norm 'masked' reads inputs with a mask, and Keras counts in training what it leaves alone"
    )
    assert fault.where == "model, layer 'masked'"
    assert fault.mend == "build the model without masks, or measure with bn_mode: moving_average"
    copy = batch_norm.copy_network(model)
    batch_norm.freeze(
        copy, "moving_average", not_needed, Passes(NoPartials(), 0), SharedInMemory(), built=Built()
    )


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
    batch_norm.freeze(
        copy, "moving_average", not_needed, Passes(NoPartials(), 0), SharedInMemory(), built=Built()
    )
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
    batch_norm.freeze(first, "frozen", lambda: train, passes, shared, built=Built())
    batch_norm.freeze(second, "frozen", not_needed, passes, shared, built=Built())
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_who_takes_the_moments_hides_nothing_that_attempts_without_them_save(
    train, store, make_order, make_pulse
):
    """The first begins what follows further on than all that find the moments kept: they go on all the same."""
    model, shared, turns = network(depth=3), SharedInMemory(), []

    def turn(state):
        turns.append(int(state["num_turns"]))
        return {"num_turns": state["num_turns"] + 1}

    def attempt(number, stop_at):
        order = make_order(attempt_id=f"attempt-{number}", statistic=LossesSpec())
        partials = SavedPartials(store, order, make_pulse(stop_at=stop_at), {})
        passes = Passes(partials, 0)
        copy = batch_norm.copy_network(model)
        batch_norm.freeze(copy, "frozen", lambda: train, passes, shared, built=Built())
        start = {"num_turns": np.zeros(())}
        passes.iterate("turns", turn, start, lambda state: state["num_turns"] == 12, 1)

    for number, stop_at in enumerate((8, 4, 4)):  # 3 stages of a batch and an end each, and turns
        with pytest.raises(Drained):
            attempt(number, stop_at)
    attempt(3, None)
    assert turns == list(range(12))


def test_a_network_without_batch_norm_needs_no_pass():
    """Nor anything kept."""
    plain, shared = keras.Sequential([keras.Input((3,)), layers.Dense(2)]), SharedInMemory()
    copy = batch_norm.copy_network(plain)
    batch_norm.freeze(copy, "frozen", not_needed, Passes(NoPartials(), 0), shared, built=Built())
    assert copy.count_params() == plain.count_params()


def test_batch_norms_that_cannot_be_frozen_are_refused():
    """A call with training=True, and another axis than the last in a nested network, by the layers' names."""
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="always")(inputs, training=True)
    rows = layers.BatchNormalization(axis=1, name="rows")
    model = keras.Model(inputs, keras.Sequential([keras.Input((4, 4, 2)), rows])(x))
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
