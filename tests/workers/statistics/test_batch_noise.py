"""`batch_noise` against all batches of a tiny data set, batch norm's invariances, its errors, and restarts."""

from __future__ import annotations

import dataclasses
import random
from itertools import combinations

import keras
import numpy as np
import pytest
import tensorflow as tf

from workers.contract.catalog import resolve
from workers.contract.errors import Drained, UserError
from workers.contract.statistics import BatchNoiseSpec, TracesSpec
from workers.datasets.dataset import Dataset, Split
from workers.probes import half_width
from workers.risk import Risk
from workers.statistics import batch_noise, batch_probes, traces
from workers.statistics.batch_probes import BatchProbes, Draw, ProbeShape
from workers.statistics.context import MeasurementContext
from workers.statistics.groups import groups_of
from workers.weights import digest_of_weights

layers = keras.layers

NUM_FEATURES, NUM_HIDDEN, NUM_OUTPUTS = 3, 2, 4
NUM_PARAMS = 20
NORM_EPSILON = 1e-3


def tiny_network(*, has_norm, dtype="float64", activation="tanh"):
    """20 parameters: dense, batch norm, dense; or dense, dense with bias."""
    inputs = keras.Input((NUM_FEATURES,), dtype=dtype)
    x = layers.Dense(NUM_HIDDEN, activation=activation, name="hidden", dtype=dtype)(inputs)
    if has_norm:
        x = layers.BatchNormalization(epsilon=NORM_EPSILON, name="norm", dtype=dtype)(x)
    outputs = layers.Dense(NUM_OUTPUTS, use_bias=not has_norm, name="outputs", dtype=dtype)(x)
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(generator.uniform(0.4, 1.4, weight.shape) * generator.choice([-1, 1]))
    return model


def tiny_dataset(num_examples):
    generator = np.random.default_rng(5)
    features = generator.normal(size=(num_examples, NUM_FEATURES)).astype(np.float32)
    targets = generator.normal(size=(num_examples, NUM_OUTPUTS)).astype(np.float32)
    split = Split(features, targets)
    offset, scale = np.zeros(NUM_FEATURES, np.float32), np.ones(NUM_FEATURES, np.float32)
    return Dataset(split, split, offset, scale, is_classification=False, digest="none")


@pytest.fixture
def tiny(tools, make_trial):
    """Make a context of a tiny network, squared errors and a batch size."""

    def make(*, num_train=5, batch_size=2, model=None, partials=None, **options):
        return MeasurementContext(
            model=model or tiny_network(**options),
            dataset=tiny_dataset(num_train),
            loss=resolve("loss", "squared_error")(),
            trial=make_trial(batch_size=batch_size, weight_decay=tools.weight_decay),
            partials=partials or tools.partials(),
        )

    return make


class Enumerated:
    """What every batch of every size has, by a forward pass written out by hand, in float64."""

    def __init__(self, context, *, has_norm):
        self.has_norm, self.known = has_norm, {}
        self.params = np.concatenate(
            [each.value.numpy().ravel() for each in context.model.trainable_variables]
        )
        self.x = tf.constant(context.dataset.train.inputs, tf.float64)
        self.y = tf.constant(context.dataset.train.targets, tf.float64)
        self.layers = np.array(["hidden"] * 8 + ["norm"] * 4 * has_norm + ["outputs"] * 12)[:20]
        self.is_kernel = np.ones(NUM_PARAMS)
        self.is_kernel[6 : 12 if has_norm else 8] = 0
        self.is_kernel[16:] = float(has_norm)

    def loss(self, params, places):
        W, b, rest = tf.split(params, [6, 2, 12])
        hidden = tf.tanh(tf.gather(self.x, places) @ tf.reshape(W, [3, 2]) + b)
        if self.has_norm:
            gamma, beta, V = tf.split(rest, [2, 2, 8])
            centred = hidden - tf.reduce_mean(hidden, 0)
            variance = tf.reduce_mean(centred**2, 0)
            hidden, c = gamma * centred / tf.sqrt(variance + NORM_EPSILON) + beta, 0.0
        else:
            V, c = tf.split(rest, [8, 4])
        residual = hidden @ tf.reshape(V, [2, 4]) + c - tf.gather(self.y, places)
        return tf.reduce_mean(tf.reduce_sum(residual**2, 1) / 2)

    @tf.function
    def derivatives(self, places):
        """Give the gradient and Hessian of one batch's mean loss."""
        params = tf.constant(self.params)
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            outer.watch(params)
            inner.watch(params)
            loss = self.loss(params, places)
            gradient = inner.gradient(loss, params)
        return gradient, outer.jacobian(gradient, params, experimental_use_pfor=False)

    def all_derivatives(self, size):
        """Give the gradients and Hessians of all batches of a size."""
        if size not in self.known:
            batches = [tf.constant(each) for each in batches_of(len(self.x), size)]
            gradients, hessians = zip(*map(self.derivatives, batches), strict=True)
            self.known[size] = np.array(gradients), np.array(hessians)
        return self.known[size]

    def value(self, quantity, layer, size, decay=0.0):
        """Give a quantity's expectation over all batches of a size."""
        num_examples = len(self.x)
        gradients, hessians = self.all_derivatives(size)
        mean = gradients.mean(0)
        scaled = size * (num_examples - 1) / (num_examples - size) * (gradients - mean) ** 2
        each_parameter = {
            "gradient_noise_trace": scaled.mean(0),
            "gradient_norm_squared": (mean + decay * self.is_kernel * self.params) ** 2,
            "hessian_trace": np.diag(hessians.mean(0)) + decay * self.is_kernel,
        }
        return each_parameter[quantity][(self.layers == layer) | (layer is None)].sum()


def batches_of(num_examples, size):
    return [np.array(each) for each in combinations(range(num_examples), size)]


def draw_in_turn(seed, number, shape):
    """Go through all pairs of batches of each size, and all batches with all axes of the parameters."""
    pairs = []
    for size in shape.sizes:
        batches = batches_of(shape.num_examples, size)
        first, second = divmod(number % len(batches) ** 2, len(batches))
        pairs.append((batches[first], batches[second]))
    curved = batches_of(shape.num_examples, shape.curved_size)
    axis = number // len(curved) % shape.num_params
    along = np.sqrt(shape.num_params) * np.eye(shape.num_params)[axis]
    return Draw(pairs, curved[number % len(curved)], along)


ALL_DRAWS = BatchNoiseSpec(multiples=[2, 1], num_probes=200)
"""Twice all 100 pairs of 2 of 5 examples, 8 times all 25 of 4, all 10 batches × 20 axes."""


@pytest.mark.parametrize("has_norm", [True, False])
def test_over_all_batches_every_value_is_its_expectation(has_norm, tiny, tools, monkeypatch):
    """In float64, for each quantity, size, layer and objective, with batch norm and without."""
    monkeypatch.setattr(batch_probes, "draw", draw_in_turn)
    context = tiny(has_norm=has_norm)
    reference = Enumerated(context, has_norm=has_norm)
    rows = batch_noise.measure(context, ALL_DRAWS)
    assert {(row.quantity, row.method, row.objective, row.layer) for row in rows} == {
        (quantity, method, objective, layer)
        for quantity, method in [
            ("hessian_trace", "batch_products_2"),
            ("gradient_noise_trace", "batch_pairs_2"),
            ("gradient_noise_trace", "batch_pairs_4"),
            ("gradient_norm_squared", "batch_pairs_2"),
            ("gradient_norm_squared", "batch_pairs_4"),
        ]
        for objective in ("data", "total")
        for layer in [None, *context.model.layers[1:]]
        for layer in [layer and layer.name]
    }
    for row in rows:
        decay = tools.weight_decay if row.objective == "total" else 0.0
        size = int(row.method.rsplit("_", 1)[1])
        expected = reference.value(row.quantity, row.layer, size, decay)
        assert row.value == pytest.approx(expected, rel=1e-9), row
        assert (row.bn_mode, row.split, row.num_samples) == ("batch", "train", 200)


def test_without_batch_norm_the_noise_is_that_of_examples_at_every_size(tiny, monkeypatch):
    """It is b (N-1)/(N-b) tr cov(g_B) = (1/N) Σ ‖g_i - ḡ‖², exactly over all batches."""
    monkeypatch.setattr(batch_probes, "draw", draw_in_turn)
    context = tiny(has_norm=False)
    reference = Enumerated(context, has_norm=False)
    gradients = reference.all_derivatives(1)[0]
    expected = np.square(gradients - gradients.mean(0)).sum() / 5
    rows = [
        row
        for row in batch_noise.measure(context, ALL_DRAWS.model_copy(update={"num_probes": 100}))
        if (row.quantity, row.layer) == ("gradient_noise_trace", None)
    ]
    assert [row.value for row in rows] == pytest.approx([expected] * 4, rel=1e-12)


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


SHAPE = ProbeShape(sizes=[2, 3], curved_size=2, num_examples=5, num_params=7)


def test_draws_depend_on_seed_and_number_alone():
    """The same again, whatever was drawn before; another with another seed or number."""

    def flat(seed, number):
        drawn = batch_probes.draw(seed, number, SHAPE)
        pieces = [places for pair in drawn.pairs for places in pair]
        return [*np.concatenate([*pieces, drawn.curved, drawn.signs])]

    first = flat(3, 8)
    assert flat(3, 9) != first
    assert flat(4, 8) != first
    assert flat(3, 8) == first


def test_draws_are_uniform_independent_and_without_replacement():
    """Over 20,000 probes: pairs of batches are equally likely, signs balanced and uncorrelated."""
    num_draws = 20_000
    drawn = [batch_probes.draw(0, number, SHAPE) for number in range(num_draws)]
    for position, size in enumerate(SHAPE.sizes):
        batches = {tuple(batch): place for place, batch in enumerate(batches_of(5, size))}
        chosen = [
            [batches[tuple(sorted(each))] for each in (*draw.pairs[position], draw.curved)[:2]]
            for draw in drawn
        ]
        counts = np.bincount([10 * one + other for one, other in chosen], minlength=100)
        excess = np.square(counts - num_draws / 100).sum() / (num_draws / 100)
        assert excess < 99 + 4 * np.sqrt(2 * 99)  # χ² of 99 degrees of freedom
    signs = np.array([draw.signs for draw in drawn])
    assert set(np.unique(signs)) == {-1.0, 1.0}
    off_diagonal = signs.T @ signs / num_draws - np.eye(7)
    assert np.abs(off_diagonal).max() < 4.5 / np.sqrt(num_draws)
    assert np.abs(signs.mean(0)).max() < 4.5 / np.sqrt(num_draws)


class Table:
    """Stands for a split and a risk: what batches are known to have, looked up."""

    dtype = tf.float64

    def __init__(self, reference, sizes):
        self.known = {}
        for size in sizes:
            batches = map(tuple, batches_of(len(reference.x), size))
            self.known |= dict(
                zip(batches, zip(*reference.all_derivatives(size), strict=True), strict=True)
            )

    def batch(self, places):
        return places, places

    def gradient(self, batches):
        return self.found(batches)[0]

    def hessian_vector_product(self, batches, vector):
        return self.found(batches)[1] @ vector

    def found(self, batches):
        [(_, places)] = batches
        return self.known[tuple(sorted(places.numpy()))]


@pytest.mark.slow
def test_stated_errors_are_the_errors(tiny):
    """Over 200 seeds of 32 probes, with batch norm: no bias, and variances as stated, in every group.

    Limits: four standard deviations of a mean and of a variance from n draws, √(2/n) of itself.
    """
    num_seeds = 200
    context = tiny(has_norm=True)
    reference = Enumerated(context, has_norm=True)
    table, groups = Table(reference, (2, 4)), groups_of(context.model)
    shape = ProbeShape([2, 4], curved_size=2, num_examples=5, num_params=NUM_PARAMS)
    probes = BatchProbes(table, table, groups, np.zeros(NUM_PARAMS), shape, seed=0)
    names = probes.groups.names
    truth = {
        (quantity, size): np.array([reference.value(quantity, name, size) for name in names])
        for quantity in ("gradient_noise_trace", "gradient_norm_squared", "hessian_trace")
        for size in (2, 4)
    }
    found = []
    for seed in range(num_seeds):
        of_seed = dataclasses.replace(probes, seed=seed)
        values = np.array([of_seed.measure(number) for number in range(32)])
        found.append(of_seed.estimates(values))
    series = {("hessian_trace", 2): [each.hessian for each in found]}
    for place, size in enumerate((2, 4)):
        series["gradient_noise_trace", size] = [each.noise[place] for each in found]
        series["gradient_norm_squared", size] = [each.gradient[place] for each in found]
    for key, estimates in series.items():
        errors = np.array([each.value for each in estimates]) - truth[key]
        stated = np.array([each.stderr for each in estimates])
        assert (np.abs(errors.mean(0)) < 4 * errors.std(0) / np.sqrt(num_seeds)).all(), key
        ratios = np.square(stated).mean(0) / np.square(errors).mean(0)
        assert (np.abs(ratios - 1) < 4 * np.sqrt(2 / num_seeds)).all(), (key, ratios)


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


def test_weights_moving_statistics_and_random_generators_stay_as_they_are(tools):
    """A convolutional network's digest, and what Python, NumPy, Keras and TensorFlow draw next."""

    def next_draws():
        return (
            random.random(),  # noqa: S311 - no secret
            np.random.random(),
            float(keras.random.uniform(())),
            float(tf.random.uniform(())),
        )

    case = tools.make_case("kld")
    before = digest_of_weights(case.model)
    keras.utils.set_random_seed(1)
    undisturbed = next_draws()
    keras.utils.set_random_seed(1)
    rows = batch_noise.measure(case.context, BatchNoiseSpec(num_probes=32, multiples=[1, 2]))
    assert next_draws() == undisturbed
    assert digest_of_weights(case.model) == before
    assert tools.whole_model(rows, "hessian_trace").method == "batch_products_10"
    assert all(np.isfinite(row.value) and row.stderr > 0 for row in rows if row.layer is None)


SETTINGS = BatchNoiseSpec(num_probes=32, multiples=[1, 2])


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
    assert len(partials.progress) == 32
    assert partials.progress[stop_after - 1] == (stop_after * 14, 32 * 14)
    assert partials.progress[-1] == (32 * 14, 32 * 14)


def test_probes_go_on_until_the_noise_at_the_smallest_size_is_known(tiny, tools):
    """Whatever the order of the multiples; other values may be less sure."""
    settings = BatchNoiseSpec(num_probes=32, until=0.2, max_probes=600, multiples=[2, 1])
    rows = batch_noise.measure(tiny(has_norm=True), settings)
    [noise] = [
        row
        for row in rows
        if (row.quantity, row.method, row.layer, row.objective)
        == ("gradient_noise_trace", "batch_pairs_2", None, "data")
    ]
    assert 32 < noise.num_samples < 600
    assert half_width(noise.stderr, noise.num_samples) <= 0.2 * noise.value


def test_nothing_is_traced_anew(tiny):
    """The loss is traced once for gradients and once for products, for three sizes and 40 probes."""
    num_traces = []

    class Counting:
        is_convex_in_outputs = True

        def per_example(self, outputs, targets):
            num_traces.append(1)
            return tf.reduce_sum(tf.square(outputs - targets), -1)

    context = dataclasses.replace(tiny(has_norm=True, num_train=12), loss=Counting())
    batch_noise.measure(context, BatchNoiseSpec(num_probes=40, multiples=[1, 2, 4]))
    assert len(num_traces) == 2


def test_the_cost_is_counted_in_gradients_over_the_training_set(tiny):
    """Two batches for each size, and a product, which counts three."""
    rows = batch_noise.measure(tiny(has_norm=False), SETTINGS)
    assert {row.cost_gradients for row in rows} == {32 * (2 * (2 + 4) + 3 * 2) / 5}
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


def test_randomness_and_weights_that_are_not_finite_are_refused_by_name(tiny):
    """Together; a dropout of rate 0 is none, and no generator is moved by the question."""
    inputs = keras.Input((NUM_FEATURES,))
    x = layers.Dropout(0.0, name="idle")(inputs)
    x = layers.Dropout(0.5, name="drop")(layers.Dense(4, name="dense")(x))
    inner = keras.Sequential([keras.Input((4,)), layers.GaussianNoise(0.1, name="noise")])
    model = keras.Model(inputs, layers.Dense(NUM_OUTPUTS, name="last")(inner(x)), name="random")
    before = model.get_layer("drop").seed_generator.state.numpy().tolist()
    model.get_layer("dense").bias.assign([np.inf, 0, 0, 0])
    found = faults_of(tiny(model=model), BatchNoiseSpec(multiples=[1]))
    draws = "draws random numbers in training mode, which are no noise of the batches"
    cure = "train without it, or leave `batch_noise` out of `measure`"
    assert found == [
        (
            "the model 'random' holds weights that are not finite numbers",
            "the kept model",
            "measure a trial that did not diverge",
        ),
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
