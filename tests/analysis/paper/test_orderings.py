from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import linregress, t

from analysis.mathematics.interval import Interval
from analysis.paper.orderings import Ordering, orderings, slope_of_points
from analysis.paper.trace_points import paper_points
from analysis.records.cell import Cell
from analysis.records.load import load_sweep
from analysis.records.paper_table1 import ROWS
from workers.statistics.batch_noise import BatchNoiseSpec

PAIRS = [(10, 0.1), (20, 0.1), (40, 0.1)]
WOBBLE = {0: 1.02, 1: 1.0, 2: 0.97}
"""Of seeds."""
BENT = {10: 1.004, 20: 0.997, 40: 1.001}
"""How far the cells of a batch size are off a power law, which leaves an error to judge the slope by."""


@pytest.fixture
def ordered(store, synthetic_sweep):
    """Make a sweep with tr σ²/tr H = scale·(m/η)^slope, but for some per cent by seed and cell; tr H is 1."""

    def make(scale, slope):
        sweep = synthetic_sweep(pairs=PAIRS, seeds=list(WOBBLE))
        sweep.plan()
        for trial in sweep.trials():
            sweep.train(trial)
            ratio = scale * (trial.batch_size / trial.learning_rate) ** slope
            noise = ratio * WOBBLE[trial.seed] * BENT[trial.batch_size]
            values = {"gradient_noise_trace": noise, "hessian_trace": 1.0}
            sweep.measure(trial, changes=values)
        return orderings(load_sweep(store, "toy"))

    return make


@pytest.mark.parametrize(
    ("scale", "slope", "counts", "verdict"),
    [
        (1000.0, -0.5, (3, 0), "holds"),
        (0.001, -0.5, (0, 3), "fails"),
        (2.0, 0.5, (3, 0), "fails"),
        (14.0, -0.5, (1, 1), "fails"),
        (2.0, 0.0, (3, 0), "undecided"),
    ],
)
def test_a_way_is_judged_by_both_parts_of_the_order(ordered, scale, slope, counts, verdict):
    """Above in every cell and falling; below in one, or rising, fails; level is undecided."""
    found = ordered(scale, slope)
    assert [(each.split, each.bn_mode) for each in found] == [("train", "frozen")] * 2
    assert {each.objective for each in found} == {"data", "total"}
    for each in found:
        assert (each.num_above, each.num_below) == counts
        assert each.verdict == verdict


def test_slope_and_ratio_are_those_of_an_independent_fit(ordered):
    """By SciPy's regression over cells, and the mean over cells, of the ratio of sums over seeds."""
    found = ordered(7.0, -0.3)[0]
    mean = np.mean(list(WOBBLE.values()))
    x = [math.log(size / rate) for size, rate in PAIRS]
    cells = [math.log(7.0 * mean * BENT[size] * (size / rate) ** -0.3) for size, rate in PAIRS]
    line = linregress(x, cells)
    half = t.ppf(0.975, 1) * line.stderr
    assert found.slope.value == pytest.approx(line.slope)
    assert (found.slope.low, found.slope.high) == pytest.approx(
        (line.slope - half, line.slope + half)
    )
    assert found.log_ratio.value == pytest.approx(np.mean(cells))


def test_an_interval_across_one_counts_on_neither_side():
    """Nor does a value without an error."""
    cells = {
        Cell("kld", 10, 0.1): Interval(0.1, -0.1, 0.3),
        Cell("kld", 20, 0.1): Interval(2.0),
        Cell("kld", 40, 0.1): Interval(0.5, 0.4, 0.6),
    }
    found = Ordering("test", "frozen", "data", cells, Interval(-1.0, -2.0, -0.5))
    assert (found.num_above, found.num_below, found.verdict) == (1, 0, "undecided")


def test_the_printed_table_s_slope():
    """By SciPy's regression over the nine printed cells."""
    line = linregress(
        [math.log(row.batch_size / row.learning_rate) for row in ROWS],
        [math.log(row.gradient_noise_trace / row.hessian_trace) for row in ROWS],
    )
    found = slope_of_points(paper_points())
    half = t.ppf(0.975, 7) * line.stderr
    assert found.value == pytest.approx(line.slope)
    assert line.slope < 0
    assert (found.low, found.high) == pytest.approx((line.slope - half, line.slope + half))


def test_windows_along_the_way_and_other_batches_are_left_out(store, synthetic_sweep, seen):
    """A fork's tr σ² has an index; of batches of several sizes SGD's own count."""
    sweep = synthetic_sweep(pairs=PAIRS[:1], seeds=[0, 1])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial)
        sweep.measure(trial)
    batch = {"bn_mode": "batch", "objective": "data"}

    def rows(trial):
        return [
            seen("gradient_noise_trace", 4.0, method="batch_pairs_5", **batch),
            seen("gradient_noise_trace", 8.0, method="batch_pairs_10", **batch),
            seen("gradient_noise_trace", 16.0, method="batch_pairs_20", **batch),
            seen("hessian_trace", 2.0, method="batch_products_10", **batch),
            seen("gradient_noise_trace", 99.0, index=16),
        ]

    sweep.add(BatchNoiseSpec(), rows)
    found = {(each.bn_mode, each.objective): each for each in orderings(load_sweep(store, "toy"))}
    assert math.exp(found["batch", "data"].log_ratio.value) == pytest.approx(4.0)
    assert math.exp(found["frozen", "total"].log_ratio.value) < 99.0 / 10

    sweep.statistics.insert(0, sweep.statistics.pop())
    sweep.revision = f"{sweep.revision}b"
    sweep.plan()
    again = {(each.bn_mode, each.objective): each for each in orderings(load_sweep(store, "toy"))}
    assert again["frozen", "total"] == found["frozen", "total"]
