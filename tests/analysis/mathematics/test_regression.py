from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from analysis.mathematics.regression import fit, is_independent, lack_of_fit_test, nested_f_test
from analysis.records.paper_table1 import ROWS

_SIZE = np.log([row.batch_size for row in ROWS])
_RATE = np.log([row.learning_rate for row in ROWS])


def _sample(seed, num=12):
    draw = np.random.default_rng(seed)
    return draw.standard_normal((num, 2)), draw.standard_normal(num)


def _r_squared(found):
    return 1 - found.residual_squares / found.total_squares


def test_one_column_agrees_with_simple_regression():
    """Slope, its error and R² as by the textbook formula of scipy's `linregress`."""
    columns, response = _sample(1)
    found, known = fit(columns[:, :1], response), stats.linregress(columns[:, 0], response)
    assert found.coefficients[0] == pytest.approx(known.slope)
    assert found.stderrs[0] == pytest.approx(known.stderr)
    assert _r_squared(found) == pytest.approx(known.rvalue**2)


def test_the_f_test_of_one_column_is_the_square_of_its_t_test():
    """F(1, dof) = t², with the same p-value; the base is one other column."""
    columns, response = _sample(2)
    found = nested_f_test(columns[:, :1], columns[:, 1:], response)
    larger = fit(columns, response)
    t = larger.coefficients[1] / larger.stderrs[1]
    assert found.f_statistic == pytest.approx(t**2)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert (found.dof_numerator, found.dof_denominator) == (1, 9)
    assert (found.slope, found.slope_stderr) == pytest.approx(
        (larger.coefficients[1], larger.stderrs[1])
    )


def test_the_f_test_agrees_with_residuals_of_the_normal_equations():
    """Two added columns, residual sums of squares by projection: F = ((R₀ - R₁)/2)/(R₁/dof)."""
    base, response = _sample(3)
    added = np.random.default_rng(4).standard_normal((12, 2))
    rests = []
    for design in (base, np.hstack([base, added])):
        whole = np.column_stack([np.ones(12), design])
        hat = whole @ np.linalg.solve(whole.T @ whole, whole.T)
        rests.append(float(response @ (np.eye(12) - hat) @ response))
    found = nested_f_test(base, added, response)
    f = (rests[0] - rests[1]) / 2 / (rests[1] / 7)
    assert found.f_statistic == pytest.approx(f)
    assert found.p_value == pytest.approx(stats.f.sf(f, 2, 7))
    assert found.partial_r_squared == pytest.approx(1 - rests[1] / rests[0])


def test_p_values_are_uniform_when_the_smaller_model_is_right():
    """4,000 samples: 5 ± 0.34 % of p-values below 0.05, and half of them below a half."""
    p_values = []
    for seed in range(4000):
        columns, noise = _sample(seed)
        p_values.append(
            nested_f_test(columns[:, :1], columns[:, 1:], 3 * columns[:, 0] + noise).p_value
        )
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=4 * 0.0034)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=4 * 0.0079)


def test_exponents_of_the_printed_table_1():
    """Printed: tr H ~ LR^(-0.43 ± 0.12) BS^(-0.01 ± 0.13), tr σ² ~ LR^(0.15 ± 0.13) BS^(0.21 ± 0.14)."""
    both = np.column_stack([_RATE, _SIZE])
    hessian = fit(both, np.log([row.hessian_trace for row in ROWS]))
    noise = fit(both, np.log([row.gradient_noise_trace for row in ROWS]))
    np.testing.assert_allclose(hessian.coefficients, [-0.43, -0.01], atol=0.005)
    np.testing.assert_allclose(hessian.stderrs, [0.12, 0.13], atol=0.01)
    np.testing.assert_allclose(noise.coefficients, [0.15, 0.21], atol=0.005)
    np.testing.assert_allclose(noise.stderrs, [0.13, 0.14], atol=0.01)
    assert _r_squared(hessian) == pytest.approx(0.70, abs=0.005)
    assert _r_squared(noise) == pytest.approx(0.37, abs=0.005)
    ratio = (_SIZE - _RATE).reshape(-1, 1)
    assert _r_squared(fit(ratio, np.log([r.hessian_trace for r in ROWS]))) == pytest.approx(
        0.38, abs=0.005
    )
    assert _r_squared(fit(ratio, np.log([r.gradient_noise_trace for r in ROWS]))) == pytest.approx(
        0.001, abs=0.0005
    )


def test_what_cannot_be_tested_is_said_in_a_sentence():
    """Too few values, a constant response, dependent or constant columns, an exact fit."""
    columns, response = _sample(5)
    first, second = columns[:, :1], columns[:, 1:]
    assert nested_f_test(first[:3], second[:3], response[:3]) == (
        "3 values are too few for 3 coefficients and an error"
    )
    assert nested_f_test(first, second, np.full(12, 0.3)) == "the response does not vary"
    for other in (2 * first + 1, np.full((12, 1), 7.0)):
        assert nested_f_test(first, other, response) == (
            "the factors do not vary independently of each other here"
        )
    assert nested_f_test(first, second, columns @ [1.0, 2.0]) == (
        "the model fits exactly, which leaves no error to test against"
    )


def test_independence_does_not_depend_on_units():
    """A column of 1e-6 is as good as one of 1e6."""
    columns = _sample(6)[0] * [1e-6, 1e6]
    assert is_independent(columns)
    assert not is_independent(np.column_stack([columns, columns[:, 0] + columns[:, 1] * 1e-12]))
    assert not is_independent(np.zeros((3, 1)))
    assert not is_independent(np.eye(2))


def test_a_lack_of_fit_is_that_of_the_dense_model():
    """Five groups, one slope: F, degrees of freedom and p are those of indicators of three groups beside it."""
    place = np.repeat(np.arange(5.0), 3).reshape(-1, 1)
    response = place[:, 0] ** 2 + np.random.default_rng(8).standard_normal(15)
    indicators = (place == np.arange(3)).astype(float)
    dense = nested_f_test(place, indicators, response)
    found = lack_of_fit_test(place, place[:, 0], response)
    assert (found.dof_numerator, found.dof_denominator) == (3, 10)
    for name in ("f_statistic", "dof_numerator", "dof_denominator", "p_value", "partial_r_squared"):
        # both sums of squares are known to some 1e-14
        assert getattr(found, name) == pytest.approx(getattr(dense, name), rel=1e-9)


def test_a_lack_of_fit_of_many_groups_needs_no_matrix():
    """Of 3,000 groups indicators would fill 6,000 × 3,000 numbers, 137 MiB; here less than 4 MiB are taken."""
    base = np.repeat(np.arange(3000.0), 2).reshape(-1, 1)
    response = np.random.default_rng(9).standard_normal(6000)
    tracemalloc.start()
    found = lack_of_fit_test(base, base[:, 0], response)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.dof_numerator, found.dof_denominator) == (2998, 3000)
    assert taken < 4 * 2**20


def test_a_lack_of_fit_that_cannot_be_judged_says_why():
    """Too few groups, too few values, nothing that varies, no error left."""
    place = np.repeat(np.arange(4.0), 2).reshape(-1, 1)
    draw = np.random.default_rng(10).standard_normal(8)
    groups = place[:, 0]
    assert lack_of_fit_test(place[:4], groups[:4], draw[:4]) == "2 cells are too few to decide this"
    assert lack_of_fit_test(place[::2], groups[::2], draw[::2]) == (
        "4 values are too few for 4 coefficients and an error"
    )
    assert lack_of_fit_test(place, groups, np.ones(8)) == "the response does not vary"
    assert lack_of_fit_test(np.hstack([place, place]), groups, draw) == (
        "the factors do not vary independently of each other here"
    )
    assert lack_of_fit_test(place, groups, groups**2) == (
        "the model fits exactly, which leaves no error to test against"
    )
