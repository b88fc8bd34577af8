"""The network that SGD goes on from: what is refused in training mode."""

from __future__ import annotations

import keras
import pytest

from workers.contract.errors import UserError
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
