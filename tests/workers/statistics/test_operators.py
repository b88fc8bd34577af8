"""A shortcut written `x + y` is measured as one written with layers.Add()."""

from __future__ import annotations

import keras
import pytest

from workers.statistics import traces
from workers.statistics.traces import TracesSpec

layers = keras.layers


def residual(join) -> keras.Model:
    """A block with a shortcut, batch norm and ReLU."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, padding="same", name="stem")(inputs)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(3, 3, padding="same", name="conv")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(join(x, y)))
    return keras.Model(inputs, layers.Dense(3, name="outputs")(x))


def test_the_first_order_route_is_taken_and_gives_the_same(tools):
    """Exactly, for every quantity and layer, with the same weights."""
    case = tools.make_case("kld")
    with_layer = residual(lambda x, y: layers.Add(name="sum")([x, y]))
    with_operator = residual(lambda x, y: 0.5 * (x + y) * 2.0)
    with_operator.set_weights(with_layer.get_weights())
    found = []
    for model in (with_layer, with_operator):
        case.model = model
        case.partials.saved.clear()
        found.append(traces.measure(case.context, TracesSpec(columns="exact")))
    for expected, row in zip(*found, strict=True):
        assert (row.quantity, row.layer) == (expected.quantity, expected.layer)
        assert row.method == expected.method
        assert row.value == pytest.approx(expected.value, rel=1e-5, abs=1e-9)  # float32
    assert {row.method for row in found[1]} >= {"gauss_newton_exact_columns"}
