"""The leading value of each quantity, ηλ₁ against 2, and the simple noise scale seed by seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.findings.leading import leading_rows
from analysis.findings.measured import stability
from analysis.records.cell import Cell
from workers.statistics.hessian import HessianSpec
from workers.statistics.tail import TailSpec

CELL = Cell("kld", 100, 0.1)


def test_step_sizes_are_eta_lambda_at_both_rates(store, synthetic_sweep, seen, measured_in):
    """λ₁ = 30 + seed over three seeds: mean 31, error 1/√3; η = 0.1, and 0.01 after the milestone."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)]).fill()
    sweep.add(HessianSpec(), lambda seed: [seen("hessian_top_eigenvalue", 30.0 + seed, index=0)])
    _, _, found = measured_in(store)
    initial, final = (found.step_size(rate)[CELL] for rate in ("initial", "final"))
    assert (initial.value, final.value) == pytest.approx((3.1, 0.31))
    assert initial.stderr == pytest.approx(0.1 / math.sqrt(3))


def test_momentum_widens_the_stable_range(store, synthetic_sweep, seen, measured_in):
    """The multipliers of x' = (1 + μ - ηλ)x - μx'' leave the unit circle where ηλ/(1+μ) passes 2."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], momentum=0.5).fill()
    sweep.add(HessianSpec(), lambda seed: [seen("hessian_top_eigenvalue", 30.0, index=0)])
    _, _, found = measured_in(store)
    step = found.step_size("initial")[CELL].value
    assert step == pytest.approx(3.0 / 1.5)
    for scaled, is_stable in ((1.99, True), (2.01, False)):
        roots = np.roots([1, -(1.5 - scaled * 1.5), 0.5])
        assert bool(np.abs(roots).max() < 1) is is_stable


@pytest.mark.parametrize(
    ("step", "word"),
    [(0.1, "stable"), (1.79, "stable"), (1.81, "edge"), (2.19, "edge"), (2.21, "unstable")],
)
def test_within_ten_percent_of_two_is_the_edge(step, word):
    assert stability(step) == word


def test_the_simple_noise_scale_is_averaged_over_ratios(store, synthetic_sweep, seen, measured_in):
    """The ratio tr σ² = 100 + seed over ‖∇L‖² = 1 + seed: the mean of 100, 50.5 and 34."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)]).fill()
    norms = lambda seed: [seen("gradient_norm_squared", 1.0 + seed, objective="data")]  # noqa: E731
    sweep.add(HessianSpec(), norms)
    _, _, found = measured_in(store)
    scale = found.train["simple_noise_scale"]
    assert scale.values[CELL].value == pytest.approx((100 + 101 / 2 + 102 / 3) / 3)
    assert scale.num_seeds[CELL] == 3


def test_a_measured_noise_scale_is_taken_as_it_is(store, synthetic_sweep, seen, measured_in):
    """Computed alone where nothing measured it."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)]).fill()
    sweep.add(
        HessianSpec(),
        lambda seed: [
            seen("gradient_norm_squared", 1.0, objective="data"),
            seen("simple_noise_scale", 7.0, objective="data"),
        ],
    )
    _, _, found = measured_in(store)
    assert found.train["simple_noise_scale"].values[CELL].value == 7.0


def test_the_leading_value_is_of_one_variant_in_all_cells(
    store, synthetic_sweep, seen, measured_in
):
    """The objective asked for, the longest window, the first eigenvalue; no duplicates of a cell."""
    sweep = synthetic_sweep().fill()
    sweep.add(
        TailSpec(),
        lambda seed: [
            *(seen("excess_loss", float(steps), index=steps) for steps in (32, 512, 64)),
            *(seen("hessian_top_eigenvalue", 9.0 - k, index=k) for k in range(3)),
            seen("hessian_trace", 1e6, bn_mode="batch"),
        ],
    )
    data, frame, _ = measured_in(store)
    rows = leading_rows(frame, data.plan)
    assert not rows.duplicated(["quantity", "batch_size"]).any()
    leading = rows[rows["batch_size"] == 100].set_index("quantity")["mean"]
    assert leading["excess_loss"] == 512.0
    assert leading["hessian_top_eigenvalue"] == 9.0
    assert leading["hessian_trace"] == pytest.approx(sweep.hessian(100, 0.1) + 0.5)


def test_of_batches_each_cell_shows_those_of_its_own_size(
    store, synthetic_sweep, seen, measured_in
):
    """Where a quantity is measured on batches alone, of either cell's size: no cell looks unmeasured."""
    sweep = synthetic_sweep(pairs=[(100, 0.1), (200, 0.1)], seeds=[0]).fill()
    sweep.add(
        HessianSpec(),
        lambda _: [
            seen("noise_scale", float(size), bn_mode="batch", method=f"batch_pairs_{size}")
            for size in (50, 100, 200, 400)
        ],
    )
    data, frame, found = measured_in(store)
    rows = leading_rows(frame, data.plan)
    values = rows[rows["quantity"] == "noise_scale"].set_index("batch_size")["mean"]
    assert values.to_dict() == {100: 100.0, 200: 200.0}
    assert found.train["noise_scale"].num_seeds == {CELL: 1, Cell("kld", 200, 0.1): 1}


def test_the_ratio_is_that_of_table_1(store, synthetic_sweep, measured_in):
    """Means over paired seeds: (100 + 1)/(51 + ½) at m = 100, η = 0.1."""
    synthetic_sweep(pairs=[(100, 0.1)]).fill()
    _, _, found = measured_in(store)
    assert found.magnitude_difference[CELL].value == pytest.approx(101 / 51.5)
