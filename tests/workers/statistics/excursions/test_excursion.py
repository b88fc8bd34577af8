"""The network that SGD goes on from: in training mode, what is refused and which batches L is of."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.errors import UserError
from workers.datasets.dataset import Split
from workers.resumable.passes import Passes
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec

layers = keras.layers


def prepared(context, settings):
    return Excursion.prepare(context, settings, Passes(context.partials, 0))


@pytest.mark.parametrize("spec", [ForkSpec, TailSpec])
def test_layers_that_draw_random_numbers_are_refused_in_training_mode(tiny, spec):
    """Their noise is none of the batches, and L would be another each time; frozen they draw nothing."""
    inputs = keras.Input((3,))
    x = layers.Dropout(0.5, name="drop")(layers.Dense(4, name="dense")(inputs))
    context = tiny(model=keras.Model(inputs, layers.Dense(4, name="last")(x)))
    with pytest.raises(UserError) as caught:
        prepared(context, spec(bn_mode="batch"))
    [fault] = caught.value.faults
    name = spec(bn_mode="batch").name
    assert fault.what == (
        "the Dropout layer 'drop' draws random numbers in training mode, which are no noise of the batches"
    )
    assert fault.where == "model, layer 'drop'"
    assert fault.mend == (
        f"train without it, measure with bn_mode: frozen, or leave `{name}` out of `measure`"
    )
    assert prepared(context, spec(bn_mode="frozen")).params().shape == (36,)


@keras.saving.register_keras_serializable("test_excursion")
class Composite(layers.Layer):
    """A batch norm within a layer."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = layers.BatchNormalization(renorm=True, name="hidden")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs, training=False):  # noqa: FBT002 - as Keras calls it
        return self.inner(inputs, training=training)


RENORM = "the BatchNormalization layer {!r} moves 'moving_stddev', 'renorm_mean', 'renorm_stddev'"
STATEFUL = {
    "renorm": (layers.BatchNormalization(renorm=True, name="norm"), RENORM.format("norm")),
    "within a layer": (Composite(name="mine"), RENORM.format("hidden")),
    "spectral": (
        layers.SpectralNormalization(layers.Dense(4, name="held"), name="norm"),
        "the SpectralNormalization layer 'norm' moves 'kernel', 'vector_u'",
    ),
}


@pytest.mark.parametrize(("layer", "moves"), STATEFUL.values(), ids=STATEFUL)
def test_layers_with_a_state_of_their_own_are_refused_in_training_mode(tiny, layer, moves):
    """They would carry it from stream to stream, and lose it in a stop; frozen they move none."""
    inputs = keras.Input((3,))
    x = layer(layers.Dense(4, name="dense")(inputs))
    context = tiny(model=keras.Model(inputs, layers.Dense(4, name="last")(x)))
    before = [np.array(each) for each in context.model.get_weights()]
    with pytest.raises(UserError) as caught:
        prepared(context, ForkSpec(bn_mode="batch"))
    [fault] = caught.value.faults
    assert fault.what == (f"{moves} in training mode, on which what later batches yield depends")
    assert fault.where.startswith("model, layer ")
    assert fault.mend == (
        "train without it, measure with bn_mode: frozen, or leave `fork` out of `measure`"
    )
    for one, other in zip(before, context.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def stored_by_class(context):
    """Return it with data sorted by their first feature, far apart at the two ends."""
    inputs = np.sort(context.dataset.train.inputs, axis=0)
    train = Split(inputs + 3 * np.sign(inputs), context.dataset.train.targets)
    return dataclasses.replace(context, dataset=dataclasses.replace(context.dataset, train=train))


def loss_of(context, batches):
    """Return the mean loss over batches [K, m] in training mode, by Keras alone."""
    train, losses = context.dataset.train, []
    for places in batches:
        with keras.StatelessScope():
            outputs = context.model(train.inputs[places], training=True)
        losses.append(context.loss.per_example(outputs, tf.constant(train.targets[places])))
    return float(np.mean(losses))


@pytest.mark.parametrize("spec", [ForkSpec, TailSpec])
def test_in_training_mode_the_loss_is_that_of_batches_as_sgd_draws_them(tiny, spec):
    """Of m examples each, drawn once: of data stored by class neighbours would be batches of one class."""
    context = stored_by_class(tiny(num_train=62, batch_size=4, has_norm=True, dtype="float32"))
    excursion = prepared(context, spec(bn_mode="batch"))
    batches = excursion.places.reshape(15, 4)
    assert len(set(batches.ravel())) == 60
    decay = excursion._decay * excursion.params() @ excursion.params() / 2
    found = excursion.objective(excursion.params(), 0).loss - decay
    assert found == pytest.approx(loss_of(context, batches), rel=1e-5)
    generator = np.random.default_rng(0)
    draws = [generator.permutation(62)[:60].reshape(15, 4) for _ in range(40)]
    losses = [loss_of(context, each) for each in draws]
    spread = np.std(losses)
    assert abs(found - np.mean(losses)) < 4 * spread
    assert abs(loss_of(context, np.arange(60).reshape(15, 4)) - np.mean(losses)) > 6 * spread


def test_the_batches_of_the_loss_follow_from_the_trial_and_the_stream_seed(tiny):
    """They are the same after a stop, and others for another seed; frozen, examples stand as stored."""
    context = tiny(num_train=12, batch_size=4, has_norm=True, dtype="float32")

    def places(context, **settings):
        return prepared(context, ForkSpec(**settings)).places.tolist()

    first = places(context, bn_mode="batch")
    assert places(context, bn_mode="batch") == first
    assert places(context, bn_mode="batch", stream_seed=1) != first
    other = context.trial.model_copy(update={"seed": 5})
    assert places(dataclasses.replace(context, trial=other), bn_mode="batch") != first
    assert places(context) == list(range(12))
