from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.paper.factors import (
    Question,
    answer,
    excess_losses,
    factor_tests,
    questions,
    symbol,
    trial_values,
)
from analysis.records.load import load_sweep
from workers.statistics.fork import ForkSpec

_GRID = [(size, rate) for size in (20, 40, 80) for rate in (0.05, 0.1, 0.2)]


def _values(response, seeds=3, noise=0.05):
    """Make the trials of a 3 × 3 grid with ln excess loss = response(ln m, ln η) + noise."""
    draw = np.random.default_rng(7)
    rows = [
        {
            "cell": cell,
            "batch_size": math.log(size),
            "learning_rate": math.log(rate),
            "batch_size_over_learning_rate": math.log(size / rate),
            "excess_loss": response(math.log(size), math.log(rate))
            + noise * draw.standard_normal(),
        }
        for cell, (size, rate) in enumerate(_GRID)
        for _ in range(seeds)
    ]
    return pd.DataFrame(rows)


_ONE_OR_TWO = Question("excess_loss", ("batch_size_over_learning_rate",), "learning_rate")


def test_one_factor_is_enough_when_only_the_ratio_counts():
    """Excess loss ∝ (m/η)^(-1): the learning rate adds nothing."""
    found = answer(_ONE_OR_TWO, _values(lambda size, rate: rate - size))
    assert found.test.p_value > 0.05
    assert (found.num_trials, found.num_cells) == (27, 9)
    assert (found.test.dof_numerator, found.test.dof_denominator) == (1, 24)


def test_a_second_factor_is_found_with_its_exponent():
    """Excess loss ∝ η^0.6/m = (m/η)^(-1)·η^(-0.4): the slope beyond the ratio is -0.4."""
    found = answer(_ONE_OR_TWO, _values(lambda size, rate: 0.6 * rate - size))
    assert found.test.p_value < 1e-6
    assert found.test.slope == pytest.approx(-0.4, abs=4 * found.test.slope_stderr)
    expected = 0.05 / math.sqrt(27 * 2 / 3 * math.log(2) ** 2 / 2)
    # 24 degrees of freedom know the noise to 14 %; three times that.
    assert found.test.slope_stderr == pytest.approx(expected, rel=0.43)


def test_the_cell_itself_matters_where_powers_are_not_the_whole_truth():
    """A bump in the middle cell is seen by 9 - 3 = 6 further coefficients; a power law has none."""
    form = Question("excess_loss", ("batch_size", "learning_rate"), "cell")
    middle = (math.log(40), math.log(0.1))
    bump = answer(form, _values(lambda size, rate: rate - size + ((size, rate) == middle)))
    plain = answer(form, _values(lambda size, rate: rate - size))
    assert (bump.test.dof_numerator, bump.test.dof_denominator) == (6, 18)
    assert bump.test.p_value < 1e-6
    assert plain.test.p_value > 0.05


def test_too_few_cells_and_constant_factors_are_refused():
    """One batch size leaves m/η and η the same; two cells are no test of powers."""
    values = _values(lambda size, rate: rate - size)
    one_size = values[values["batch_size"] == math.log(20)]
    refused = answer(_ONE_OR_TWO, one_size)
    assert refused.test == "the factors do not vary independently of each other here"
    assert (refused.num_trials, refused.num_cells) == (9, 3)
    form = Question("excess_loss", ("batch_size", "learning_rate"), "cell")
    assert answer(form, values[values["cell"] < 2]).test == "2 cells are too few to decide this"
    assert answer(_ONE_OR_TWO, values[:2]).test == (
        "2 values are too few for 3 coefficients and an error"
    )
    values["excess_loss"] = math.nan
    assert answer(_ONE_OR_TWO, values).test == "E[L]-L*: nothing positive was measured"


def test_the_trials_of_a_sweep_are_collected(store, forked_sweep):
    """A row a trial: logarithms of m, η, m/η, the traces and the excess loss of the longest window."""
    sweep = forked_sweep(pairs=_GRID, seeds=[0, 1]).fill()
    data = load_sweep(store, "toy")
    values = trial_values(data)
    trial = sweep.trials()[0]
    row = values.iloc[0]
    assert len(values) == 18
    assert row["batch_size"] == math.log(20)
    assert row["batch_size_over_learning_rate"] == pytest.approx(math.log(400))
    assert row["hessian_trace"] == pytest.approx(math.log(sweep.eigenvalues(trial).sum()))
    last = sweep.fork.windows()[-1]
    excess = 0.5 * sweep.eigenvalues(trial) @ sweep.variances(trial, last)
    assert row["excess_loss"] == pytest.approx(math.log(excess))
    assert row["magnitude_difference"] == pytest.approx(
        math.log(sweep.noises(trial).sum() / sweep.eigenvalues(trial).sum())
    )
    assert values["hessian_noise_trace"].isna().all()


def test_of_two_excursions_the_first_listed_counts(store, forked_sweep):
    """A later one fills in nothing where the first has a value."""
    sweep = forked_sweep(seeds=[0])
    sweep.statistics.append(ForkSpec(num_steps=64, num_windows=2))
    sweep.fill()
    data = load_sweep(store, "toy")
    assert len(excess_losses(data)) == 2


def test_every_question_is_answered_or_refused(store, forked_sweep):
    """Of the excess loss, both traces and their ratio: one factor or two, the form, and what traces add."""
    forked_sweep(pairs=_GRID, seeds=[0, 1, 2], scatter=0.05).fill()
    found = factor_tests(trial_values(load_sweep(store, "toy")))
    assert [item.question for item in found] == questions()
    assert len(found) == 13
    refused = {symbol(item.question.added) for item in found if isinstance(item.test, str)}
    assert "tr(σ²H)" in refused
    assert all(item.test.dof_numerator >= 1 for item in found if not isinstance(item.test, str))


def test_a_sweep_without_excursions_answers_for_its_traces(store, synthetic_sweep):
    """What is not measured is said; the traces are tested all the same."""
    synthetic_sweep(pairs=_GRID).fill()
    found = {
        item.question: item.test for item in factor_tests(trial_values(load_sweep(store, "toy")))
    }
    assert found[_ONE_OR_TWO] == "E[L]-L*: nothing positive was measured"
    of_noise = found[
        Question("gradient_noise_trace", ("batch_size_over_learning_rate",), "learning_rate")
    ]
    assert of_noise.p_value < 1e-6
