from __future__ import annotations

import math

import pytest

from analysis.findings.table1 import law_columns, table1
from workers.contract.errors import UserError


def test_every_cell_has_both_traces_and_their_ratio(paper_table):
    """Means over five seeds 0 … 4: tr σ² = 10mη + 2, tr H = 5/η + m/100 + 1."""
    table = paper_table
    assert [(row.cell.batch_size, row.cell.learning_rate) for row in table.rows] == [
        (size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)
    ]
    row = table.rows[1]
    assert row.gradient_noise_trace.value == pytest.approx(202)
    assert row.hessian_trace.value == pytest.approx(27)
    assert row.magnitude_difference.value == pytest.approx(202 / 27)
    assert row.gradient_noise_trace.stderr == pytest.approx(math.sqrt(2.5 / 5))


def test_the_ratio_error_is_paired_by_seed(paper_table):
    """Both traces rise with the seed, so the error is smaller than that of unpaired seeds."""
    row = paper_table.rows[1]
    ratio = 202 / 27
    deviations = [(200 + seed) - ratio * (26 + seed / 2) for seed in range(5)]
    paired = math.sqrt(sum(d * d for d in deviations) / 4 / 5) / 27
    assert row.magnitude_difference.stderr == pytest.approx(paired, rel=1e-9)
    alone = [row.gradient_noise_trace, row.hessian_trace]
    unpaired = ratio * math.hypot(*(e.stderr / e.value for e in alone))
    assert row.magnitude_difference.stderr < unpaired


def test_the_laws_use_the_learning_rate_given(paper_table):
    """(η/4m)·tr with the initial and with the final η, and N times that in the sum convention."""
    row = paper_table.rows[1]
    assert row.state.final_learning_rate == pytest.approx(0.02)
    columns = {column.name: column.of(row) for column in law_columns()}
    assert columns["wang_4_45_initial"].value == pytest.approx(0.2 / 400 * 202)
    final = columns["jastrzebski_9_final"]
    assert final.value == pytest.approx(0.02 / 400 * 27)
    assert final.stderr == pytest.approx(0.02 / 400 * row.hessian_trace.stderr)
    summed = row.summed(columns["wang_4_45_initial"])
    assert summed.value == pytest.approx(50_000 * 0.2 / 400 * 202)


@pytest.mark.parametrize(
    ("changes", "has_paper"),
    [
        ({}, True),
        ({"depth": 20}, False),
        ({"loss": "gradlog_l2"}, False),
        ({"pairs": [(100, 0.1)]}, False),
    ],
)
def test_the_paper_stands_beside_its_own_setting_alone(store, synthetic_sweep, changes, has_paper):
    """ResNet-56, CIFAR-10, Kullback-Leibler loss and a printed cell; else the columns are empty."""
    synthetic_sweep(**({"pairs": [(100, 0.08)]} | changes)).plan()
    assert (table1(store, "toy").rows[0].paper is not None) == has_paper


def test_incomplete_cells_are_kept(store, paper_sweep):
    """Nothing trained: rows without values, flagged."""
    paper_sweep.plan()
    row = table1(store, "paper-kld").rows[0]
    assert math.isnan(row.magnitude_difference.value)
    assert math.isnan(row.summed(row.hessian_trace).value)
    assert not row.state.is_complete


def test_only_seeds_with_both_traces_enter_the_ratio(store, synthetic_sweep):
    """A seed whose Hessian is not a number is left out of the ratio, not of tr σ²."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial)
        sweep.measure(trial, changes={"hessian_trace": float("nan")} if trial.seed == 2 else None)
    (row,) = table1(store, "toy").rows
    assert row.gradient_noise_trace.degrees == 2
    assert row.num_measured == 2
    assert row.magnitude_difference.value == pytest.approx(100.5 / 51.25)


def test_an_unknown_sweep_is_bad_input(store):
    """The message names the sweep."""
    with pytest.raises(UserError, match="no sweep 'paper-kld' in the store"):
        table1(store, "paper-kld")
