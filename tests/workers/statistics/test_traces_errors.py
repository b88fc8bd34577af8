"""The standard error of tr H is true, and what draws columns at random is unbiased."""

from __future__ import annotations

import numpy as np
import pytest

from workers.contract.statistics import TracesSpec
from workers.statistics import traces

NUM_SEEDS = 120


def draws(tools, loss, columns):
    """Measure tr H with many probe seeds: values and stated errors, and the exact value."""
    case = tools.make_case(loss)
    exact = TracesSpec(columns="exact", bn_mode="moving_average")
    truth = tools.whole_model(traces.measure(case.context, exact), "hessian_trace").value
    found = []
    for seed in range(NUM_SEEDS):
        case.partials.saved.clear()
        settings = TracesSpec(
            columns=columns, bn_mode="moving_average", replicate_examples=24, probe_seed=seed
        )
        found.append(tools.whole_model(traces.measure(case.context, settings), "hessian_trace"))
    return truth, np.array([row.value for row in found]), np.array([row.stderr for row in found])


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "columns"), [("kld", 1), ("gradlog_l2", 2)])
def test_the_stated_error_is_the_error(tools, loss, columns):
    """Over seeds: unbiased within 4 of its errors, and mean squared error = mean stated variance.

    The ratio of the two, of 120 seeds, has a relative spread of about √(2/120) = 0.13 for the first
    and as much again for the stated variances from 24 examples; 1 ± 0.5 is 2.7 of them.
    """
    truth, values, errors = draws(tools, loss, columns)
    assert np.all(errors > 0)
    standard_error = values.std(ddof=1) / np.sqrt(NUM_SEEDS)
    assert abs(values.mean() - truth) < 4 * standard_error
    ratio = np.mean(np.square(values - truth)) / np.mean(np.square(errors))
    assert 0.5 < ratio < 1.5


def test_columns_depend_on_the_example_alone(tools):
    """The same probe seed gives the same value twice, another seed another."""
    case = tools.make_case("kld")

    def value(seed):
        case.partials.saved.clear()
        settings = TracesSpec(bn_mode="moving_average", probe_seed=seed)
        return tools.whole_model(traces.measure(case.context, settings), "hessian_trace").value

    assert value(1) == value(1)
    assert value(1) != value(2)


def test_the_error_falls_with_the_number_of_columns(tools):
    """As one over the square root of K."""
    case = tools.make_case("kld")

    def error(columns):
        case.partials.saved.clear()
        settings = TracesSpec(columns=columns, bn_mode="moving_average", replicate_examples=24)
        return tools.whole_model(traces.measure(case.context, settings), "hessian_trace").stderr

    assert error(16) < error(1) / 2


def test_smooth_activations_take_hessian_vector_products(tools):
    """The method says so, and the value agrees with the dense Hessian within 5 of its errors."""
    case = tools.make_case("kld", activation="tanh")
    reference = tools.dense_reference(case)
    settings = TracesSpec(columns=64, bn_mode="moving_average")
    row = tools.whole_model(traces.measure(case.context, settings), "hessian_trace")
    assert row.method == "hessian_vector_rademacher_64"
    assert row.stderr > 0
    assert abs(row.value - reference.value("hessian_trace", None)) < 5 * row.stderr
