from __future__ import annotations

import math

import pytest

from analysis.aggregation.cell_measurements import cell_measurements
from analysis.paper.conventions import conventions, num_examples
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from analysis.records.paper_table1 import ROWS, paper_row


def _found(data):
    return conventions(data, cell_measurements(data).to_pandas(), cell_states(data))


@pytest.fixture
def papers_numbers(store, synthetic_sweep):
    """Make a sweep whose traces × N are the printed ones, times 2 for tr H."""

    def make(pairs, hessian_factor=2.0):
        sweep = synthetic_sweep(pairs=pairs, seeds=[0])
        sweep.plan()
        for trial in sweep.trials():
            row = paper_row(trial.batch_size, trial.learning_rate) or ROWS[0]
            sweep.train(trial)
            sweep.measure(
                trial,
                changes={
                    "gradient_noise_trace": row.gradient_noise_trace / 50_000,
                    "hessian_trace": hessian_factor * row.hessian_trace / 50_000,
                },
            )
        return load_sweep(store, "toy")

    return make


def test_the_convention_that_made_the_numbers_is_the_closest(papers_numbers):
    """Sums over N: tr σ² agrees, tr H is twice too large, distance √(½·ln²2)."""
    found = _found(papers_numbers([(100, 0.08), (500, 0.5)]))
    best = found[0]
    assert (best.split, best.bn_mode, best.normalisation, best.rate) == (
        "train", "frozen", "sum", "none"
    )  # fmt: skip
    assert best.noise_ratio == pytest.approx(1.0)
    assert best.hessian_ratio == pytest.approx(2.0)
    assert best.distance == pytest.approx(math.log(2) / math.sqrt(2))
    assert best.num_cells == 2
    assert [item.distance for item in found] == sorted(item.distance for item in found)


def test_every_normalisation_rate_and_objective_is_tried(papers_numbers):
    """Two objectives × mean or sum × no η, the initial, the final one."""
    found = _found(papers_numbers([(100, 0.08)]))
    assert len(found) == 2 * 2 * 3
    mean = next(f for f in found if (f.normalisation, f.rate) == ("mean", "none"))
    assert mean.noise_ratio == pytest.approx(1 / 50_000)
    initial = next(f for f in found if (f.normalisation, f.rate) == ("sum", "initial"))
    final = next(f for f in found if (f.normalisation, f.rate) == ("sum", "final"))
    assert initial.noise_ratio == pytest.approx(0.08 / 400)
    assert final.noise_ratio == pytest.approx(0.008 / 400)


def test_without_a_common_cell_overall_sizes_are_compared(papers_numbers):
    """The geometric mean over this sweep's cells against that over the paper's nine."""
    best = _found(papers_numbers([(64, 0.3)], hessian_factor=1.0))[0]
    mean = sum(math.log(row.gradient_noise_trace) for row in ROWS) / 9
    assert best.num_cells == 0
    assert math.log(best.noise_ratio) == pytest.approx(
        math.log(ROWS[0].gradient_noise_trace) - mean
    )


def test_sums_over_the_test_set_take_its_size(store, synthetic_sweep):
    """The number of examples is that of the pass over the split."""
    sweep = synthetic_sweep(seeds=[0]).fill()
    assert num_examples(load_sweep(store, "toy")) == {"test": sweep.num_train, "train": 50_000}


def test_negative_traces_fit_no_convention(store, synthetic_sweep):
    """A logarithm needs both traces to be positive."""
    sweep = synthetic_sweep(seeds=[0])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial)
        sweep.measure(trial, changes={"hessian_trace": -3.0})
    assert _found(load_sweep(store, "toy")) == []


def test_nothing_measured_fits_no_convention(store, synthetic_sweep):
    """A plan alone has nothing to compare."""
    synthetic_sweep().plan()
    assert _found(load_sweep(store, "toy")) == []
