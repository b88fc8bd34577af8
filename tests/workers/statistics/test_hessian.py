"""`hessian` against dense float64 matrices: eigenvalues, traces by layer, their errors, restarts."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from workers.contract.errors import Drained, UserError
from workers.numerics.estimators import random_subset
from workers.numerics.probes import ROUNDING, half_width
from workers.statistics.hessian import HessianSpec, measure

NUM_PARAMS = 313
"""Of the case's network."""

TRACES = ("hessian_trace", "hessian_frobenius_squared")


def fast(**settings):
    """Take the fewest probes and steps, at the moving averages the twin holds."""
    return HessianSpec(**{"num_probes": 64, "bn_mode": "moving_average"} | settings)


def select(rows, quantity):
    return [row for row in rows if row.quantity == quantity]


def values(rows):
    return [
        (row.quantity, row.layer, row.index, row.split, row.objective, row.value, row.stderr)
        for row in rows
    ]


@pytest.fixture(scope="module")
def smooth(tools):
    """A smooth network, whose Hessian does not jump where a float32 rounds, and its reference."""
    case = tools.make_case("kld", activation="tanh")
    return case, tools.dense_reference(case)


@pytest.fixture
def case(smooth, tools):
    return dataclasses.replace(smooth[0], partials=tools.partials())


@pytest.mark.parametrize("objective", ["data", "total"])
def test_eigenvalues_are_those_of_the_dense_matrix(case, smooth, tools, objective):
    """Each within its residual norm and the rounding of float32 (1e-6 of λ₁), none of the ten missed."""
    settings = fast(objective=objective, eigenvalue_tolerance=1e-3)
    rows = measure(case.context, settings)
    decay = tools.weight_decay if objective == "total" else 0.0
    expected = np.linalg.eigvalsh(smooth[1].total_hessian(decay))[::-1][:10]
    found, residuals = (
        np.array([row.value for row in select(rows, quantity)])
        for quantity in ("hessian_top_eigenvalue", "hessian_residual_norm")
    )
    assert (np.abs(found - expected) <= residuals + 1e-6 * expected[0]).all()
    assert (residuals <= 1e-3 * found[0]).all()
    assert [row.index for row in select(rows, "hessian_top_eigenvalue")] == list(range(10))
    assert {row.stderr for row in select(rows, "hessian_top_eigenvalue")} == {None}
    assert {row.stderr for row in select(rows, "hessian_residual_norm")} == {0.0}
    assert {row.objective for row in rows} == {objective}


def test_all_directions_leave_nothing_to_probes(case, smooth):
    """With as many steps as parameters the traces err by rounding alone, and say so: within 4 of it."""
    settings = fast(num_eigenpairs=NUM_PARAMS, max_lanczos_steps=NUM_PARAMS)
    rows = measure(case.context, settings)
    for quantity in TRACES:
        for row in select(rows, quantity):
            expected = smooth[1].value(quantity, row.layer)
            whole = smooth[1].value(quantity, None)
            assert row.value == pytest.approx(expected, abs=2e-6 * whole)
            assert row.stderr == ROUNDING * abs(row.value)
            assert abs(row.value - expected) < 4 * row.stderr
    found = [row.value for row in select(rows, "hessian_top_eigenvalue")]
    expected = np.linalg.eigvalsh(smooth[1].hessian)[::-1]
    np.testing.assert_allclose(found, expected, atol=2e-6 * expected[0])


def test_decay_adds_itself_for_each_decayed_parameter(case, smooth, tools):
    """Tr H of `total` is that of `data` plus weight_decay for each kernel's entry, in every layer."""
    settings = {"num_eigenpairs": NUM_PARAMS, "max_lanczos_steps": NUM_PARAMS}
    plain = select(measure(case.context, fast(**settings)), "hessian_trace")
    case.partials.saved.clear()
    decayed = select(measure(case.context, fast(objective="total", **settings)), "hessian_trace")
    layers = np.array(smooth[1].layers)
    for one, other in zip(plain, decayed, strict=True):
        chosen = (layers == one.layer) | (one.layer is None)
        expected = tools.weight_decay * smooth[1].is_kernel[chosen].sum()
        assert other.value - one.value == pytest.approx(expected, abs=1e-5 * abs(plain[0].value))


@pytest.mark.parametrize("num_eigenpairs", [0, 3])
@pytest.mark.parametrize("objective", ["data", "total"])
def test_every_layer_is_within_its_stated_error(case, smooth, tools, objective, num_eigenpairs):
    """Whole model and 9 layers, tr H and tr H², within 4 errors; layers sum to the whole."""
    settings = fast(objective=objective, num_eigenpairs=num_eigenpairs, probe_seed=3)
    rows = measure(case.context, settings)
    decay = tools.weight_decay if objective == "total" else 0.0
    for quantity in TRACES:
        found = select(rows, quantity)
        assert len(found) == 1 + len(dict.fromkeys(smooth[1].layers))
        for row in found:
            expected = smooth[1].value(quantity, row.layer, decay)
            rounding = 2e-6 * smooth[1].value(quantity, None, decay)
            assert abs(row.value - expected) < 4 * row.stderr + rounding
        assert sum(row.value for row in found[1:]) == pytest.approx(found[0].value, rel=1e-12)
        assert {row.num_samples for row in found} == {64}
        method = f"deflated_probes_{num_eigenpairs}" if num_eigenpairs else "rademacher_probes"
        assert {row.method for row in found} == {method}


@pytest.mark.slow
def test_a_relu_network_has_the_trace_of_first_derivatives(tools):
    """Second derivatives by products agree with the exact columns of `traces`."""
    from workers.statistics import traces
    from workers.statistics.traces import TracesSpec

    case = tools.make_case("gradlog_l2")
    by_columns = traces.measure(case.context, TracesSpec(columns="exact", bn_mode="frozen"))
    case.partials = tools.partials()
    settings = fast(bn_mode="frozen", num_eigenpairs=NUM_PARAMS, max_lanczos_steps=NUM_PARAMS)
    by_products = measure(case.context, settings)
    expected = {
        row.layer: row.value
        for row in select(by_columns, "hessian_trace")
        if row.objective == "data"
    }
    for row in select(by_products, "hessian_trace"):
        assert row.value == pytest.approx(expected[row.layer], abs=1e-5 * abs(expected[None]))


def test_deflation_narrows_the_error(case):
    """At 64 probes each, ten directions leave less than a third of the error of none."""
    plain = measure(case.context, fast(num_eigenpairs=0))
    case.partials.saved.clear()
    deflated = measure(case.context, fast(num_eigenpairs=10))
    for quantity in TRACES:
        assert select(deflated, quantity)[0].stderr < select(plain, quantity)[0].stderr / 3


@pytest.mark.release
@pytest.mark.slow
@pytest.mark.parametrize("num_eigenpairs", [0, 3])
def test_the_stated_error_is_the_error(tools, num_eigenpairs):
    """Over 100 seeds, every group of both traces: no bias, stated variances right.

    Limits: four standard deviations of a mean, and of a variance with the errors' own kurtosis. The
    truth is that of all directions, which other tests hold against dense matrices.
    """
    case = dataclasses.replace(tools.make_case("kld"), model=small_network(tools))

    def traces(**settings):
        case.partials.saved.clear()
        rows = [row for row in measure(case.context, fast(**settings)) if row.quantity in TRACES]
        return np.array([(row.value, row.stderr) for row in rows]).T

    truth = traces(num_eigenpairs=NUM_PARAMS + 10, max_lanczos_steps=NUM_PARAMS + 10)[0]
    steps = {"num_eigenpairs": num_eigenpairs, "max_lanczos_steps": 6}
    drawn = np.array([traces(probe_seed=seed, **steps) for seed in range(100)])
    errors, variances = drawn[:, 0] - truth, np.square(drawn[:, 1])
    squares = np.square(errors)
    rounding = 2e-6 * np.repeat(truth.reshape(2, -1)[:, 0], len(truth) // 2)
    assert (np.abs(errors.mean(0)) < 4 * errors.std(0) / np.sqrt(100) + rounding).all()
    spread = np.hypot(squares.std(0) / squares.mean(0), variances.std(0) / variances.mean(0))
    ratio = variances.mean(0) / squares.mean(0)
    assert (np.abs(ratio - 1) < 4 * spread / np.sqrt(100)).all()


def test_probes_go_on_until_the_interval_is_narrow(case):
    """With `until`, the interval is as narrow as asked beside the whole tr H, not beside what is left to probes."""
    settings = fast(num_eigenpairs=10, objective="total", until=0.06)
    whole = select(measure(case.context, settings), "hessian_trace")[0]
    assert 64 < whole.num_samples < 1024
    assert half_width(whole.stderr, whole.num_samples) <= 0.06 * abs(whole.value)
    wide = fast(num_eigenpairs=10, objective="total", until=0.5)
    case.partials.saved.clear()
    assert select(measure(case.context, wide), "hessian_trace")[0].num_samples == 64


def small_network(tools):
    """Build a network that compiles fast, the same each time: one hidden layer and batch norm."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    x = layers.Dense(4, activation="tanh")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.BatchNormalization()(x)))
    tools.randomise(model, 1)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [7, 41, 100])
def test_stops_leave_no_trace(tools, monkeypatch, stop_after):
    """Stopped again and again in the pass of batch norm, in Lanczos and in probes, between and within products."""
    for module in (
        "workers.statistics.measuring.curvature.PRODUCTS_BATCH_SIZE",
        "workers.network.batch_norm._BATCH_SIZE",
    ):
        monkeypatch.setattr(module, 9)
    settings = HessianSpec(
        num_probes=64, num_eigenpairs=2, max_lanczos_steps=4, splits=["train", "test"]
    )
    case = dataclasses.replace(tools.make_case("kld"), model=small_network(tools))
    undisturbed = values(measure(case.context, settings))
    saved, num_stops = {}, 0
    while True:
        case.partials = tools.partials(stop_after=stop_after, saved=saved)
        try:
            found = measure(case.context, settings)
        except Drained:
            num_stops += 1
            assert num_stops < 1000
            continue
        break
    assert num_stops >= 200 // stop_after
    assert values(found) == undisturbed


def test_a_subset_is_measured_and_named(case, smooth, tools):
    """The subset's Hessian is that of a data set of these examples alone."""
    settings = fast(num_examples=10, num_eigenpairs=4, probe_seed=2)
    rows = measure(case.context, settings)
    places = random_subset(case.context.seed(2), 24, 10)
    train = case.dataset.train
    chosen = dataclasses.replace(train, inputs=train.inputs[places], targets=train.targets[places])
    alone = dataclasses.replace(
        case, dataset=dataclasses.replace(case.dataset, train=chosen), partials=tools.partials()
    )
    expected = measure(alone.context, fast(num_eigenpairs=4, probe_seed=2))
    assert [row.value for row in rows] == [row.value for row in expected]
    assert {row.method for row in rows} == {
        "deflated_probes_4_of_10_examples",
        "lanczos_of_10_examples",
    }
    assert rows[0].cost_gradients == pytest.approx(expected[0].cost_gradients * 10 / 24)


def test_progress_ends_within_its_total(case):
    """Done rises to the examples of all products, at most the total; costs count three a product."""
    rows = measure(
        case.context,
        fast(bn_mode="frozen", num_eigenpairs=2, max_lanczos_steps=6, eigenvalue_tolerance=1e-9),
    )
    done, total = zip(*case.partials.progress, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[-1] == 24 * (4 + 6 + 64)  # four stages of batch norms
    assert rows[0].cost_gradients == pytest.approx(3 * (6 + 64))


def test_a_subset_larger_than_its_splits_is_refused(case):
    """Every split that is too small is told of at once."""
    with pytest.raises(UserError) as raised:
        measure(case.context, fast(num_examples=25, splits=["train", "test"]))
    assert str(raised.value) == (
        "num_examples 25 is more than the 24 examples of the split 'train'\n"
        "  where: measure, hessian, num_examples\n"
        "  mend:  give at most 24, or leave it out for all of them\n\n"
        "num_examples 25 is more than the 9 examples of the split 'test'\n"
        "  where: measure, hessian, num_examples\n"
        "  mend:  give at most 9, or leave it out for all of them"
    )


def test_more_eigenpairs_than_steps_are_refused():
    with pytest.raises(
        ValueError, match="max_lanczos_steps 5 is below num_eigenpairs 10; raise the one or lower"
    ):
        HessianSpec(max_lanczos_steps=5)
