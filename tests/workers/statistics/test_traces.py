"""`traces` against dense float64 references and closed forms, its errors, and restarts."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from workers.contract.errors import Drained, UserError
from workers.datasets.dataset import Dataset, Split
from workers.numerics.probes import ROUNDING
from workers.statistics import traces
from workers.statistics.norms import trace_passes
from workers.statistics.traces import TracesSpec

LOSSES = ("kld", "gradlog_l1", "gradlog_l2", "squared_error")
QUANTITIES = (
    "gradient_noise_trace",
    "hessian_trace",
    "gradient_norm_squared",
    "parameter_norm_squared",
)
FLOAT32 = 1e-5
"""Sums of some hundred products in float32, each off by 6e-8 of its size."""

EXACT = TracesSpec(columns="exact", bn_mode="moving_average")


@pytest.fixture(scope="module")
def references(tools):
    """The network, data and dense reference for each loss."""
    cases = {loss: tools.make_case(loss) for loss in LOSSES}
    return {loss: (case, tools.dense_reference(case)) for loss, case in cases.items()}


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_quantity_layer_and_objective_is_that_of_the_dense_reference(loss, references, tools):
    """With all columns the traces are exact, for every loss, layer and objective."""
    case, reference = references[loss]
    rows = traces.measure(case.context, EXACT)
    assert {(row.quantity, row.objective, row.layer) for row in rows} == {
        (quantity, objective, layer)
        for quantity in QUANTITIES
        for objective in ("data", "total")
        for layer in {None, *reference.layers}
    }
    for row in rows:
        decay = tools.weight_decay if row.objective == "total" else 0.0
        expected = reference.value(row.quantity, row.layer, decay)
        whole = abs(reference.value(row.quantity, None, decay))
        assert row.value == pytest.approx(expected, rel=FLOAT32, abs=1e-6 * whole), row
        assert (row.stderr, row.num_samples, row.split) == (0.0, 24, "train")
    assert tools.whole_model(rows, "hessian_trace").method == "gauss_newton_exact_columns"
    assert tools.whole_model(rows, "gradient_noise_trace").method == "per_example_exact"


@pytest.mark.slow
def test_the_test_split_is_measured_on_its_own(tools):
    """Its noise and curvature are those of its 9 examples."""
    case = tools.make_case("kld")
    reference = tools.dense_reference(case, split="test")
    settings = TracesSpec(columns="exact", bn_mode="moving_average", splits=["train", "test"])
    rows = [row for row in traces.measure(case.context, settings) if row.split == "test"]
    for quantity in QUANTITIES:
        found = tools.whole_model(rows, quantity)
        assert found.value == pytest.approx(reference.value(quantity, None), rel=FLOAT32)
        assert found.num_samples == 9


@pytest.mark.slow
def test_frozen_batch_norm_has_the_statistics_of_the_training_set(tools):
    """Those of one batch with all examples, set by hand in the float64 reference."""
    case = tools.make_case("kld")
    norms = [each for each in case.twin.layers if isinstance(each, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    case.twin(case.inputs(), training=True)
    reference = tools.dense_reference(case)
    rows = traces.measure(case.context, TracesSpec(columns="exact"))
    for quantity in QUANTITIES:
        found = tools.whole_model(rows, quantity)
        # statistics pass through seven layers in float32 before they are used
        assert found.value == pytest.approx(reference.value(quantity, None), rel=1e-4)
        assert found.bn_mode == "frozen"


def linear_case(tools, loss, *, num_outputs):
    """A linear model with bias on 40 examples of 3 features, as stored."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 3)).astype(np.float32)
    labels = generator.integers(0, num_outputs, 40)
    targets = np.eye(num_outputs, dtype=np.float32)[labels]
    if loss == "squared_error":
        targets = generator.normal(size=(40, num_outputs)).astype(np.float32)
    split = Split(features, targets)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(num_outputs, bias_initializer="normal")(inputs))
    dataset = Dataset(split, split, np.zeros(3, np.float32), np.ones(3, np.float32), False, "")  # noqa: FBT003 - as given
    case = dataclasses.replace(tools.make_case(loss), model=model, twin=model, dataset=dataset)
    kernel, bias = (each.astype(np.float64) for each in model.get_weights())
    with_one = np.concatenate([features.astype(np.float64), np.ones((40, 1))], axis=1)
    outputs = with_one @ np.concatenate([kernel, bias[None]])
    return case, with_one, outputs, targets


def test_linear_regression_has_its_closed_forms(tools):
    """‖g_i‖² = r_i²‖x_i‖², tr H = mean ‖x‖²; one column is all there is, so only rounding errs."""
    case, x, outputs, targets = linear_case(tools, "squared_error", num_outputs=1)
    gradients = (outputs - targets) * x
    rows = traces.measure(case.context, TracesSpec(replicate_examples=1000))
    trace = tools.whole_model(rows, "hessian_trace")
    assert trace.value == pytest.approx(np.square(x).sum(1).mean(), rel=1e-6)
    assert trace.stderr == ROUNDING * trace.value
    noise = np.square(gradients - gradients.mean(0)).sum(1).mean()
    assert tools.whole_model(rows, "gradient_noise_trace").value == pytest.approx(noise, rel=1e-6)


def test_softmax_regression_has_its_closed_forms(tools):
    """‖g_i‖² = ‖p-y‖²‖x‖², tr H = mean (1 - Σp²)‖x‖²."""
    case, x, outputs, targets = linear_case(tools, "kld", num_outputs=5)
    exponentials = np.exp(outputs)
    p = exponentials / exponentials.sum(1, keepdims=True)
    size = np.square(x).sum(1)
    rows = traces.measure(case.context, EXACT)
    trace = ((1 - np.square(p).sum(1)) * size).mean()
    assert tools.whole_model(rows, "hessian_trace").value == pytest.approx(trace, rel=1e-6)
    mean = (x[:, :, None] * (p - targets)[:, None, :]).mean(0)
    noise = (np.square(p - targets).sum(1) * size).mean() - np.square(mean).sum()
    assert tools.whole_model(rows, "gradient_noise_trace").value == pytest.approx(noise, rel=1e-6)


def measure_afresh(case, settings):
    """Measure without what an earlier measurement saved."""
    case.partials.saved.clear()
    return traces.measure(case.context, settings)


def test_results_do_not_depend_on_the_batches(tools, monkeypatch):
    """Columns belong to examples: batches of 5 and of 24 differ by rounding alone."""
    case = tools.make_case("kld")
    settings = TracesSpec(columns=2, replicate_examples=1000, bn_mode="moving_average")
    whole = [(row.value, row.stderr) for row in traces.measure(case.context, settings)]
    monkeypatch.setattr(trace_passes, "NORMS_BATCH_SIZE", 5)
    cut = [(row.value, row.stderr) for row in measure_afresh(case, settings)]
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("stop_after", [1, 6, 11, 20])
def test_a_stopped_measurement_goes_on_to_the_same_bits(stop_after, tools, monkeypatch):
    """Stopped in two of the four stages of batch norms, over the split, and over the replicates."""
    monkeypatch.setattr(trace_passes, "NORMS_BATCH_SIZE", 5)
    case = tools.make_case("gradlog_l1")
    settings = TracesSpec(replicate_examples=1000)

    def values():
        return [(row.value, row.stderr) for row in traces.measure(case.context, settings)]

    straight = values()
    case.partials = tools.partials(stop_after=stop_after)
    with pytest.raises(Drained):
        values()
    case.partials.stop_after = None
    assert values() == straight
    assert case.partials.progress[-1] == (4 * 24 + 24 + 1000, 4 * 24 + 24 + 1000)


@pytest.mark.slow
def test_smooth_networks_take_hessian_vector_products(tools, monkeypatch):
    """tanh: the method says so, the value agrees with the dense Hessian, and the noise stays exact."""
    monkeypatch.setattr(trace_passes, "PRODUCTS_BATCH_SIZE", 6)
    case = tools.make_case("kld", activation="tanh")
    reference = tools.dense_reference(case)
    settings = TracesSpec(columns=100, bn_mode="moving_average")
    rows = traces.measure(case.context, settings)
    trace = tools.whole_model(rows, "hessian_trace")
    assert trace.method == "hessian_vector_rademacher_100"
    expected = reference.value("hessian_trace", None)
    assert abs(trace.value - expected) < 3 * trace.stderr
    assert 0 < trace.stderr < 0.5 * expected
    for row in rows:
        if row.quantity == "hessian_trace":
            decay = tools.weight_decay if row.objective == "total" else 0.0
            error = row.value - reference.value("hessian_trace", row.layer, decay)
            assert abs(error) < 4 * row.stderr + 1e-6 * expected
    noise = tools.whole_model(rows, "gradient_noise_trace")
    assert noise.value == pytest.approx(reference.value(noise.quantity, None), rel=FLOAT32)


def faults_of(case, settings=EXACT):
    with pytest.raises(UserError) as caught:
        traces.measure(case.context, settings)
    assert case.partials.progress == []  # refused before any work
    return [(fault.what, fault.where, fault.mend) for fault in caught.value.faults]


def test_all_columns_of_a_smooth_network_are_refused(tools):
    """With the cure: a number of probes."""
    case = tools.make_case("kld", activation="tanh")
    [(what, where, mend)] = faults_of(case)
    assert what == (
        f"tr H of the model {case.model.name!r} is not a sum over columns, as not all of it is "
        "piecewise linear in its parameters"
    )
    assert where == "measure, traces, columns"
    assert mend == "give a number, the Hessian-vector products for each batch: columns: 1"


def test_a_layer_without_a_rule_is_refused_by_name(tools):
    """Before the pass over the data for batch norm."""
    case = tools.make_case("kld")
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.LayerNormalization(name="layer_norm")(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    case.model = keras.Model(inputs, outputs)
    [(what, where, mend)] = faults_of(case)
    assert what == (
        "the LayerNormalization layer 'layer_norm' has no rule for per-example gradients"
    )
    assert where == "model, layer 'layer_norm'"
    assert mend == ("use Conv2D, Dense, BatchNormalization, or leave `traces` out of `measure`")


def test_the_cost_is_counted_in_gradients(tools):
    """Forward 1/3 and 2/3 for each cotangent, again for the replicates; batch norm's pass is not counted."""
    case = tools.make_case("kld")
    rows = traces.measure(case.context, TracesSpec(columns=1, replicate_examples=1200))
    assert rows[0].cost_gradients == pytest.approx(5 / 3 * (1 + 1200 / 24))
    assert rows[0].wall_seconds > 0
    rows = measure_afresh(case, EXACT)
    assert rows[0].cost_gradients == pytest.approx(1 / 3 + 2 / 3 * (1 + 3))
