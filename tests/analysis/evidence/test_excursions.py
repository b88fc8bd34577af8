from __future__ import annotations

import math

import pytest

from analysis.evidence.agreement import agreement
from analysis.evidence.conditions import all_conditions
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from workers.contract.identity import statistic_id
from workers.contract.statistics import PluginStatisticSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec

FORK = ForkSpec(num_steps=64, num_windows=3, records_per_window=4, sampler="shuffle")
GAP = "fluctuation_dissipation_gap"


@pytest.fixture
def sweep(synthetic_sweep):
    """Make a sweep of one cell, η falling to 0.01, independent batches."""
    return synthetic_sweep(weight_decay=0.1, sampler="replacement", pairs=[(100, 0.1)]).fill()


@pytest.fixture
def excursions_of(store):
    """Give the excursions of every cell, by what is planned first."""

    def make(sweep):
        data = load_sweep(store, sweep.name)
        return [each.excursion for each in all_conditions(data, cell_states(data), agreement(data))]

    return make


def test_a_cell_without_any_has_one_that_measured_nothing(sweep, excursions_of):
    """The final rate and the trial's own sampler, for a stationary run."""
    (found,) = excursions_of(sweep)
    assert (found.learning_rate, found.sampler) == (pytest.approx(0.01), "replacement")
    assert (found.bn_mode, found.steps, found.statistic_id) == ("frozen", None, None)
    assert (found.values, found.is_longest) == ({}, True)


def test_a_fork_has_one_a_window(sweep, seen, excursions_of):
    """Each with the steps it was looked at, its own values and their errors."""

    def rows(seed):
        for window in FORK.windows():
            end = window[-1]
            yield seen("excess_loss", end + seed / 10, stderr=0.5, num_samples=33, index=end)
        yield seen("hessian_top_eigenvalue", 3.0, index=0)
        yield seen("excess_loss", 99.0, index=64, layer="conv")
        yield seen("excess_loss", 99.0, index=64, split="test")
        yield seen("excess_loss", math.nan, index=16)

    found = excursions_of(sweep.add(FORK, rows))
    assert [each.num_steps for each in found] == [16, 32, 64]
    assert [each.is_longest for each in found] == [False, False, True]
    assert [each.steps for each in found] == FORK.windows()
    last = found[-1]
    assert last.values["excess_loss"].by_seed == {0: 64.0, 1: 64.1, 2: 64.2}
    error = last.values["excess_loss"].uncertain[1]
    assert (error.stderr, error.degrees) == (0.5, 32)
    assert last.indexed["hessian_top_eigenvalue", 0].by_seed[2] == 3.0
    assert (last.sampler, last.statistic, last.learning_rate) == (
        "shuffle",
        "fork",
        pytest.approx(0.01),
    )
    assert last.statistic_id == statistic_id(FORK)


def test_a_tail_has_no_steps(sweep, seen, excursions_of):
    """Values of the whole run apart from those of its halves."""
    tail = TailSpec(learning_rate=0.5, num_steps=5000, bn_mode="batch")

    def rows(seed):
        for index, value in ((None, 1.0), (0, 2.0), (1, 3.0)):
            yield seen(GAP, value, index=index, bn_mode="batch")

    (found,) = excursions_of(sweep.add(tail, rows))
    assert (found.steps, found.num_steps, found.learning_rate) == (None, 5000, 0.5)
    assert found.values[GAP].by_seed[0] == 1.0
    assert [found.indexed[GAP, half].by_seed[0] for half in (0, 1)] == [2.0, 3.0]


def test_seeds_that_ran_away_are_counted(sweep, seen, excursions_of):
    """Rows without a value whose reason begins with `unstable: `; other reasons do not count."""

    def rows(seed):
        reason = "unstable: ηλ₁ is 2.3" if seed else "the trial diverged"
        yield seen("excess_loss", None, stderr=None, index=64, skipped_reason=reason)

    found = excursions_of(sweep.add(FORK, rows))
    assert [each.num_unstable for each in found] == [2, 2, 2]
    assert found[-1].values == {}


def test_several_are_listed_as_planned(sweep, seen, excursions_of):
    """Two forks at different rates are two excursions, a plugin that gives a target is one more."""
    for rate in (0.02, 0.04):
        fork = ForkSpec(num_steps=64, num_windows=1, learning_rate=rate)
        sweep.add(fork, lambda seed: [seen("excess_loss", 1.0, index=64)])
    sweep.add(PluginStatisticSpec(name="json:dumps"), lambda seed: [seen("excess_loss", 2.0)])
    sweep.add(PluginStatisticSpec(name="json:loads"), lambda seed: [seen("sharpness", 2.0)])
    found = excursions_of(sweep)
    assert [each.learning_rate for each in found] == [0.02, 0.04, pytest.approx(0.01)]
    assert [each.statistic for each in found] == ["fork", "fork", "json:dumps"]


@pytest.mark.parametrize(("weight_decay", "is_taken"), [(0.0, True), (0.1, False)])
def test_a_plugins_data_objective_serves_without_weight_decay(
    synthetic_sweep, seen, excursions_of, weight_decay, is_taken
):
    """Else it is not the objective that SGD descends."""
    sweep = synthetic_sweep(weight_decay=weight_decay, pairs=[(100, 0.1)]).fill()
    plugin = PluginStatisticSpec(name="json:dumps")
    sweep.add(plugin, lambda seed: [seen("excess_loss", 2.0, objective="data")])
    assert [bool(each.values) for each in excursions_of(sweep)] == [is_taken]
