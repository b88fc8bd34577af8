"""`batch_noise`: agreement with `traces`, batch norm's invariances, restarts, and what is refused."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.contract.errors import Drained, UserError
from workers.network.risk import Risk
from workers.numerics.probes import half_width
from workers.statistics import batch_noise, traces
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.traces import TracesSpec

layers = keras.layers


@pytest.mark.slow
def test_without_batch_norm_noise_and_curvature_are_those_of_traces(tiny):
    """Both estimates lie within four of their errors of the exact values of every layer."""
    context = tiny(has_norm=False, num_train=40, dtype="float32", activation="relu", batch_size=4)
    exact = {
        (row.quantity, row.layer, row.objective): row.value
        for row in traces.measure(context, TracesSpec(columns="exact"))
    }
    rows = batch_noise.measure(context, BatchNoiseSpec(num_probes=400, multiples=[1, 4]))
    for row in rows:
        error = abs(row.value - exact[row.quantity, row.layer, row.objective])
        assert error < 4 * row.stderr, row
    noises = [row for row in rows if (row.quantity, row.layer) == ("gradient_noise_trace", None)]
    assert {row.method for row in noises} == {"batch_pairs_4", "batch_pairs_16"}
    assert all(row.stderr < 0.1 * row.value for row in noises)


def smooth_case(tools, *, epsilon):
    """The network of every kind of layer in float64, smooth, with a small ε in its batch norms."""
    case = tools.make_case("kld", activation="tanh")
    for layer in case.twin.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.epsilon = epsilon
    risk = Risk(case.twin, resolve("loss", "kld")(), in_training=True)
    return case.twin, risk, [(case.inputs(), tf.constant(case.dataset.train.targets))]


def test_a_kernel_before_batch_norm_is_scale_invariant(tools):
    """⟨w, g_w⟩ = 0, H_ww w = -g_w and H_uw w = 0 for every other u: batch statistics see w."""
    network, risk, batch = smooth_case(tools, epsilon=1e-13)
    names = [each.path for each in network.trainable_variables]
    place = names.index("stem/kernel")
    parts = [np.zeros_like(part) for part in risk.split_by_param(risk.params())]
    parts[place] = risk.split_by_param(risk.params())[place]
    gradient = risk.gradient(batch)
    of_kernel = risk.split_by_param(gradient)[place]
    scale = np.linalg.norm(of_kernel) * np.linalg.norm(parts[place])
    assert scale > 0.01
    assert abs(of_kernel @ parts[place]) < 1e-11 * scale
    product = risk.split_by_param(risk.hessian_vector_product(batch, np.concatenate(parts)))
    size = np.abs(of_kernel).max()
    np.testing.assert_allclose(product[place], -of_kernel, atol=1e-9 * size)
    others = np.concatenate(product[:place] + product[place + 1 :])
    np.testing.assert_allclose(others, 0.0, atol=1e-9 * size)


def test_products_through_batch_statistics_are_differences_of_gradients(tools):
    """(∇L_B(θ + hv) - ∇L_B(θ - hv)) / 2h, to the h² of the difference."""
    network, risk, batch = smooth_case(tools, epsilon=1e-3)
    direction = np.random.default_rng(0).normal(size=risk.num_params)
    step, start = 1e-5, risk.params()

    def gradient_at(params):
        pieces = risk.split_by_param(params)
        for variable, piece in zip(network.trainable_variables, pieces, strict=True):
            variable.assign(piece.reshape(variable.shape))
        return risk.gradient(batch)

    product = risk.hessian_vector_product(batch, direction)
    difference = gradient_at(start + step * direction) - gradient_at(start - step * direction)
    size = np.abs(product).max()
    np.testing.assert_allclose(product, difference / (2 * step), atol=1e-7 * size)


SETTINGS = BatchNoiseSpec(num_probes=128, multiples=[1, 2])


@pytest.mark.parametrize("stop_after", [1, 13, 31])
def test_a_stopped_measurement_goes_on_to_the_same_bits(stop_after, tiny, tools):
    """Stopped after the first probe, in the middle, and before the last."""

    def measure(partials):
        context = tiny(has_norm=True, dtype="float32", partials=partials)
        return [(row.value, row.stderr) for row in batch_noise.measure(context, SETTINGS)]

    straight = measure(None)
    partials = tools.partials(stop_after=stop_after)
    with pytest.raises(Drained):
        measure(partials)
    partials.stop_after = None
    assert measure(partials) == straight
    assert len(partials.progress) == 128
    assert partials.progress[stop_after - 1] == (stop_after * 14, 128 * 14)
    assert partials.progress[-1] == (128 * 14, 128 * 14)


def test_probes_go_on_until_the_noise_at_the_smallest_size_is_known(tiny, tools):
    """Whatever the order of the multiples; other values may be less sure."""
    settings = BatchNoiseSpec(num_probes=128, until=0.2, max_probes=600, multiples=[2, 1])
    rows = batch_noise.measure(tiny(has_norm=True), settings)
    [noise] = [
        row
        for row in rows
        if (row.quantity, row.method, row.layer, row.objective)
        == ("gradient_noise_trace", "batch_pairs_2", None, "data")
    ]
    assert 128 < noise.num_samples < 600
    assert half_width(noise.stderr, noise.num_samples) <= 0.2 * noise.value


def test_nothing_is_traced_anew(tiny):
    """The loss is traced once for gradients and once for products, for three sizes and 130 probes."""
    num_traces = []

    class Counting:
        is_convex_in_outputs = True

        def per_example(self, outputs, targets):
            num_traces.append(1)
            return tf.reduce_sum(tf.square(outputs - targets), -1)

    context = dataclasses.replace(tiny(has_norm=True, num_train=12), loss=Counting())
    batch_noise.measure(context, BatchNoiseSpec(num_probes=130, multiples=[1, 2, 4]))
    assert len(num_traces) == 2


def test_the_cost_is_counted_in_gradients_over_the_training_set(tiny):
    """Two batches for each size, and a product, which counts three."""
    rows = batch_noise.measure(tiny(has_norm=False), SETTINGS)
    assert {row.cost_gradients for row in rows} == {128 * (2 * (2 + 4) + 3 * 2) / 5}
    assert rows[0].wall_seconds > 0


def faults_of(context, settings):
    with pytest.raises(UserError) as caught:
        batch_noise.measure(context, settings)
    assert context.partials.progress == []  # refused before any work
    return [(fault.what, fault.where, fault.mend) for fault in caught.value.faults]


def test_batches_that_cannot_differ_are_refused_all_at_once(tiny):
    """Of all examples, or more: where and how to mend it."""
    context = tiny(has_norm=True, num_train=6)
    assert faults_of(context, BatchNoiseSpec(multiples=[4, 1, 3])) == [
        (
            f"{multiple} times the batch size 2 leaves no two different batches of the 6 training "
            "examples",
            "measure, batch_noise, multiples",
            "choose multiples of at most 2, or leave `batch_noise` out of `measure`",
        )
        for multiple in (4, 3)
    ]


def test_a_batch_size_of_the_whole_training_set_is_refused(tiny):
    """There is nothing to choose then."""
    [(what, _, mend)] = faults_of(tiny(has_norm=True, batch_size=5), BatchNoiseSpec(multiples=[1]))
    assert what == (
        "1 times the batch size 5 leaves no two different batches of the 5 training examples"
    )
    assert mend == "leave `batch_noise` out of `measure`"


def test_randomness_is_refused_by_name(tiny):
    """All at once; a dropout of rate 0 is none, and no generator is moved by the question."""
    inputs = keras.Input((3,))
    x = layers.Dropout(0.0, name="idle")(inputs)
    x = layers.Dropout(0.5, name="drop")(layers.Dense(4, name="dense")(x))
    inner = keras.Sequential([keras.Input((4,)), layers.GaussianNoise(0.1, name="noise")])
    model = keras.Model(inputs, layers.Dense(4, name="last")(inner(x)), name="random")
    before = model.get_layer("drop").seed_generator.state.numpy().tolist()
    found = faults_of(tiny(model=model), BatchNoiseSpec(multiples=[1]))
    draws = "draws random numbers in training mode, which are no noise of the batches"
    cure = "train without it, or leave `batch_noise` out of `measure`"
    assert found == [
        (f"the Dropout layer 'drop' {draws}", "model, layer 'drop'", cure),
        (f"the GaussianNoise layer 'noise' {draws}", "model, layer 'noise'", cure),
    ]
    assert model.get_layer("drop").seed_generator.state.numpy().tolist() == before


def test_a_model_that_is_no_graph_of_layers_is_refused(tiny):
    """As by the other statistics."""

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    [(what, where, mend)] = faults_of(tiny(model=Subclassed(name="own")), SETTINGS)
    assert what == (
        "the model 'own' of class Subclassed is not a graph of layers with one input and one output"
    )
    assert where == "model.name"
    assert mend == "build it with the functional API: keras.Model(inputs, outputs)"


def test_a_state_that_moves_from_batch_to_batch_is_refused_by_name(tiny):
    """A probe would depend on those before it; batch norm's moving averages are not read in training mode."""
    inputs = keras.Input((3,))
    x = layers.BatchNormalization(name="plain")(layers.Dense(4, name="dense")(inputs))
    x = layers.BatchNormalization(renorm=True, name="norm")(x)
    model = keras.Model(inputs, layers.Dense(4, name="last")(x))
    [(what, where, mend)] = faults_of(tiny(model=model), BatchNoiseSpec(multiples=[1]))
    assert what == (
        "the BatchNormalization layer 'norm' moves 'moving_stddev', 'renorm_mean', 'renorm_stddev' in "
        "training mode, on which what later batches yield depends"
    )
    assert where == "model, layer 'norm'"
    assert mend == "train without it, or leave `batch_noise` out of `measure`"
