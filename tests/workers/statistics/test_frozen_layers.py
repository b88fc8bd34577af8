"""Frozen layers are no parameters: every statistic measures them as the constants they are."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from workers.contract.catalog import resolve
from workers.contract.records import Measurement
from workers.datasets.dataset import Dataset, Split
from workers.statistics import fork, hessian, noise_curvature, spectrum, tail, traces
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.hessian import HessianSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.noise_curvature import NoiseCurvatureSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

layers = keras.layers

STATISTICS = {
    "losses": LossesSpec(splits=["train"]),
    "traces": TracesSpec(columns="exact"),
    "hessian": HessianSpec(num_eigenpairs=3, max_lanczos_steps=6),
    "noise_curvature": NoiseCurvatureSpec(),
    "spectrum": SpectrumSpec(num_steps=5, num_draws=2, objective="total"),
    "batch_noise": BatchNoiseSpec(multiples=[1]),
    "fork": ForkSpec(
        num_streams=32, num_steps=8, num_windows=2, num_directions=2, max_lanczos_steps=6
    ),
    "tail": TailSpec(
        num_steps=1000, burn_in_steps=32, num_records=64, num_directions=2, max_lanczos_steps=6
    ),
}
FAST = ("losses", "traces", "hessian", "spectrum")


def each_of(names):
    """Mark as slow what compiles for seconds."""
    return [pytest.param(each, marks=[] if each in FAST else pytest.mark.slow) for each in names]


FREE = ["free", "outputs"]
FLOAT32 = 1e-4
"""Relative error of what the networks compute; differences of losses have larger ones, see `assert_equal`."""


def small_integers(shape, seed):
    """Numbers whose sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


def free_layers():
    """Two layers with parameters; the same values each time."""
    generator = np.random.default_rng(1)
    free = layers.Dense(3, activation="relu", name="free")
    outputs = layers.Dense(2, name="outputs")
    for layer, num_inputs in ((free, 4), (outputs, 3)):
        layer.build((None, num_inputs))
        layer.set_weights([generator.normal(0, 0.4, each.shape) for each in layer.get_weights()])
    return free, outputs


def frozen_layers():
    """One before the free layers, whose outputs are exact, and a batch norm between them."""
    first = layers.Dense(4, activation="relu", name="fixed", trainable=False)
    norm = layers.BatchNormalization(name="fixed_norm", trainable=False)
    first.build((None, 3))
    norm.build((None, 3))
    first.set_weights([small_integers((3, 4), 2), small_integers(4, 3)])
    norm.set_weights(list(np.random.default_rng(4).uniform(0.5, 1.5, (4, 3))))
    return first, norm


def with_frozen_layers():
    """Frozen, free, frozen batch norm, free."""
    (first, norm), (free, outputs) = frozen_layers(), free_layers()
    inputs = keras.Input((3,))
    return keras.Model(inputs, outputs(norm(free(first(inputs)))))


def with_frozen_networks():
    """The same; the first is a network frozen as a whole, the next one is frozen in part."""
    (first, norm), (free, outputs) = frozen_layers(), free_layers()
    before, between = keras.Input((3,)), keras.Input((4,))
    whole, part = keras.Model(before, first(before)), keras.Model(between, norm(free(between)))
    whole.trainable = False
    inputs = keras.Input((3,))
    return keras.Model(inputs, outputs(part(whole(inputs))))


def with_constants():
    """The same from the outputs of the first layer on, with the batch norm written as numbers."""
    (_, norm), (free, outputs) = frozen_layers(), free_layers()
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    inputs = keras.Input((4,))
    return keras.Model(inputs, outputs(free(inputs) * scale + (beta - mean * scale)))


@pytest.fixture
def context_of(make_trial, tools):
    """Make a context of a network, with momentum and L2; `has_begun` gives it the first layer's outputs."""

    def make(model, *, has_begun=False):
        features = small_integers((12, 3), 5)
        if has_begun:
            kernel, bias = frozen_layers()[0].get_weights()
            features = np.maximum(features @ kernel + bias, 0).astype(np.float32)
        targets = np.random.default_rng(6).normal(size=(12, 2)).astype(np.float32)
        split, width = Split(features, targets), features.shape[1]
        zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
        dataset = Dataset(split, split, zeros, ones, is_classification=False, digest="none")
        training = {"weight_decay": tools.weight_decay, "momentum": 0.5, "learning_rate": 0.01}
        trial = make_trial(batch_size=4, loss="squared_error", **training)
        loss = resolve("loss", "squared_error")()
        return MeasurementContext(model, dataset, loss, trial, tools.partials())

    return make


def values_of(context, settings):
    """Give all numbers of a statistic by what they are about."""
    measure = resolve("statistic", settings.name)
    found = {}
    for row in measure(context, settings):
        if isinstance(row, Measurement):
            assert row.skipped_reason is None, row.skipped_reason
            key = (row.quantity, row.layer, row.index, row.objective, row.method)
            found[key] = (row.value, np.nan if row.stderr is None else row.stderr)
        else:
            found[row.kind, row.draw, len(found)] = (row.node, row.weight)
    return found


def assert_equal(found, expected):
    assert list(found) == list(expected)
    scale = np.nanmax(np.abs(list(expected.values())))
    np.testing.assert_allclose(
        list(found.values()), list(expected.values()), rtol=FLOAT32, atol=1e-6 * scale
    )


@pytest.mark.parametrize("name", each_of(STATISTICS))
def test_frozen_layers_measure_as_constants(name, context_of):
    """Every value, by layer and for the whole, is that of the network without them; so is what decays."""
    expected = values_of(context_of(with_constants(), has_begun=True), STATISTICS[name])
    found = values_of(context_of(with_frozen_layers()), STATISTICS[name])
    assert_equal(found, expected)
    assert {key[1] for key in found if isinstance(key[1], str)} <= set(FREE)


@pytest.mark.parametrize("name", each_of(["losses", "hessian", "spectrum", "tail"]))
def test_networks_frozen_whole_or_in_part_measure_as_constants(name, context_of):
    """A network within the network: what it holds frozen is no parameter, the rest is."""
    expected = values_of(context_of(with_constants(), has_begun=True), STATISTICS[name])
    assert_equal(values_of(context_of(with_frozen_networks()), STATISTICS[name]), expected)


def test_layers_add_up_to_the_whole(context_of):
    """Only the free ones have rows."""
    for name in ("traces", "hessian"):
        found = values_of(context_of(with_frozen_layers()), STATISTICS[name])
        of_traces = {key: value for key, value in found.items() if key[0] == "hessian_trace"}
        for (quantity, layer, *rest), (value, _) in of_traces.items():
            if layer is None:
                parts = [of_traces[quantity, each, *rest][0] for each in FREE]
                assert sum(parts) == pytest.approx(value, rel=1e-9)  # of the same float64 sums


def images_network(dtype):
    """Convolutions and batch norms, frozen and free in every pair, between and behind dense layers."""
    own = {"dtype": dtype}
    inputs = keras.Input((6, 6, 2), dtype=dtype)
    x = layers.Conv2D(2, 3, name="fixed", trainable=False, activation="relu", **own)(inputs)
    x = layers.Conv2D(2, 2, name="free", **own)(x)
    x = layers.BatchNormalization(name="fixed_norm", trainable=False, **own)(x)
    x = layers.Activation("relu", name="act", **own)(x)
    x = layers.Conv2D(2, 2, name="fixed_conv", trainable=False, **own)(x)
    x = layers.BatchNormalization(name="free_norm", **own)(x)
    x = layers.GlobalAveragePooling2D(name="pool", **own)(x)
    x = layers.Dense(4, name="hidden", activation="relu", **own)(x)
    return keras.Model(inputs, layers.Dense(3, name="last", trainable=False, **own)(x))


@pytest.fixture(scope="module")
def dense_images(tools):
    """A case with its dense reference over the trainable variables."""
    model, twin = images_network("float32"), images_network("float64")
    tools.randomise(model, seed=1)
    twin.set_weights(model.get_weights())
    case = dataclasses.replace(tools.make_case("kld"), model=model, twin=twin)
    return case, tools.dense_reference(case)


@pytest.fixture
def images(dense_images, tools):
    """The same, for one statistic: partial results are kept by statistic, here by none."""
    case, reference = dense_images
    return dataclasses.replace(case, partials=tools.partials()), reference


@pytest.mark.slow
def test_traces_of_frozen_convolutions_and_norms_are_the_dense_ones(images, tools):
    """A convolution whose batch norm is frozen, and the other way round; also under weight decay."""
    case, reference = images
    rows = traces.measure(case.context, TracesSpec(columns="exact", bn_mode="moving_average"))
    assert {row.layer for row in rows} == {None, "free", "free_norm", "hidden"}
    for row in rows:
        decay = tools.weight_decay if row.objective == "total" else 0.0
        expected = reference.value(row.quantity, row.layer, decay)
        assert row.value == pytest.approx(expected, rel=FLOAT32)


@pytest.mark.slow
def test_noise_curvature_of_frozen_convolutions_and_norms_is_the_dense_one(images, tools):
    """Exact values to rounding, the estimate within four of its errors; by layer."""
    case, reference = images
    settings = NoiseCurvatureSpec(bn_mode="moving_average")
    rows = noise_curvature.measure(case.context, settings)
    named = {row.layer for row in rows if row.quantity == "hessian_noise_trace"}
    assert named == {None, "free", "free_norm", "hidden"}
    for row in rows:
        if row.quantity.endswith("noise_scale"):
            continue
        decay = tools.weight_decay if row.objective == "total" else 0.0
        expected = reference.value(row.quantity, row.layer, decay)
        whole = reference.value(row.quantity, None, decay)
        assert abs(row.value - expected) < FLOAT32 * abs(whole) + 4 * row.stderr


@pytest.mark.slow
def test_the_hessian_of_frozen_convolutions_and_norms_is_the_dense_one(images, tools):
    """By layer: with as many Lanczos steps as parameters nothing is left to the probes."""
    case, reference = images
    num_params = len(reference.params)
    settings = HessianSpec(num_eigenpairs=num_params, max_lanczos_steps=num_params)
    settings = settings.model_copy(update={"bn_mode": "moving_average", "objective": "total"})
    rows = hessian.measure(case.context, settings)
    assert {row.layer for row in rows} == {None, "free", "free_norm", "hidden"}
    for row in rows:
        if row.quantity == "hessian_trace":
            expected = reference.value("hessian_trace", row.layer, tools.weight_decay)
            assert row.value == pytest.approx(expected, rel=1e-3)
    largest = next(row.value for row in rows if row.quantity == "hessian_top_eigenvalue")
    eigenvalues = np.linalg.eigvalsh(reference.total_hessian(tools.weight_decay))
    assert largest == pytest.approx(eigenvalues[-1], rel=FLOAT32)


def test_a_layer_used_twice_is_one_parameter(context_of):
    """The graph's Hessian is measured, as if the layer stood there once; its numbers are counted once."""
    free, outputs = free_layers()
    shared = layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    padded = layers.Dense(4, trainable=False, name="fixed")
    x = shared(shared(inputs))
    model = keras.Model(inputs, outputs(free(padded(x))))
    context = context_of(model)
    rows = spectrum.measure(context, SpectrumSpec(num_steps=40, num_draws=1, kinds=["hessian"]))
    weights = [row.weight for row in rows if not isinstance(row, Measurement)]
    assert sum(weights) == pytest.approx(12 + 15 + 8)  # ‖w‖² of Rademacher signs is P


@pytest.mark.slow
@pytest.mark.parametrize("statistic", [fork, tail], ids=["fork", "tail"])
def test_a_frozen_layer_of_large_curvature_makes_nothing_unstable(statistic, context_of):
    """A value of 100 goes into a frozen layer of weights 0.01: λ would be 10⁴ along them, and η 0.01."""
    free, fixed = (layers.Dense(size, name=f"{size}") for size in (1, 2))
    inputs = keras.Input((3,))
    model = keras.Model(inputs, fixed(free(inputs)))
    model.set_weights([np.ones((3, 1)), np.array([100.0]), np.full((1, 2), 0.01), np.zeros(2)])
    settings = STATISTICS[statistic.__name__.rsplit(".", 1)[-1]]
    [why] = {row.skipped_reason for row in statistic.measure(context_of(model), settings)}
    assert why is not None
    assert why.startswith("unstable")
    fixed.trainable = False
    assert {row.skipped_reason for row in statistic.measure(context_of(model), settings)} == {None}
