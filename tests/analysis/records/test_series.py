"""Rows of whole models, arranged as series over seeds."""

from __future__ import annotations

import gc
import math

import pytest

from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.load import load_sweep
from analysis.records.once import once
from workers.contract.method_text import method_of_batches
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.hessian import HessianSpec

CELLS = [Cell("kld", 100, 0.1), Cell("kld", 200, 0.2)]


@pytest.fixture
def whole_model_of(synthetic_sweep, seen):
    """Arrange a sweep whose third statistic gives one quantity with some values."""

    def arrange(quantity="hessian_top_eigenvalue", statistic=None, rows_of=None):
        sweep = synthetic_sweep().fill()
        if rows_of is not None:
            sweep.add(statistic or HessianSpec(), rows_of)
        return load_sweep(sweep.store, "toy").whole_model

    return arrange


def test_every_value_of_a_seed_is_there_once(whole_model_of):
    """Of the sweep's own numbers: tr σ² = noise(m, η) + seed, exact, in both objectives."""
    found = whole_model_of()
    assert list(found.by_cell) == CELLS
    for objective in ("data", "total"):
        its = found.of("gradient_noise_trace", bn_mode="frozen", split="train", objective=objective)
        for cell, (series,) in its.items():
            expected = 10 * cell.batch_size * cell.learning_rate
            assert series.values.by_seed == {seed: expected + seed for seed in (0, 1, 2)}
            assert series.values.errors[1] == Uncertain(expected + 1, 0.0, math.inf)
            assert (series.statistic, series.is_exact) == ("traces", True)
    assert found.of("no such", bn_mode="frozen", split="train", objective="data") == {}


def test_indices_are_series_of_their_own(whole_model_of, seen):
    """Eigenvalues by their place, sorted or not, with their error."""
    found = whole_model_of(
        rows_of=lambda seed: [
            seen("hessian_top_eigenvalue", 10.0 * (index + 1) + seed, index=index, stderr=0.5)
            for index in (1, 0)
        ]
    )
    of_cell = found.of("hessian_top_eigenvalue", bn_mode="frozen", split="train", objective="total")
    assert {s.index: s.values.by_seed for s in of_cell[CELLS[0]]} == {
        0: {0: 10.0, 1: 11.0, 2: 12.0},
        1: {0: 20.0, 1: 21.0, 2: 22.0},
    }
    assert not any(series.is_exact for series in of_cell[CELLS[0]])


def test_batches_of_each_size_are_apart(whole_model_of, seen):
    """Though quantity, split and objective are one."""
    found = whole_model_of(
        statistic=BatchNoiseSpec(),
        rows_of=lambda seed: [
            seen(
                "gradient_noise_trace", 7.0 * size, bn_mode="batch",
                method=method_of_batches("pairs", size),
            )
            for size in (100, 200)
        ],
    )  # fmt: skip
    its = found.of("gradient_noise_trace", bn_mode="batch", split="train", objective="total")
    sizes = {series.probed_batch_size: series.values.by_seed[0] for series in its[CELLS[1]]}
    assert sizes == {100: 700.0, 200: 1400.0}


def test_what_is_no_number_is_left_out(whole_model_of, seen):
    """NaN, infinite, beyond single precision, or none."""
    bad = [math.nan, math.inf, 1e300]
    found = whole_model_of(rows_of=lambda seed: [seen("hessian_frobenius_squared", bad[seed])])
    place = {"bn_mode": "frozen", "split": "train", "objective": "data"}
    assert found.of("hessian_frobenius_squared", **place) == {}


def test_a_result_is_computed_once_and_goes_with_its_object():
    """Of each object on its own."""
    calls = []

    class Subject:
        pass

    @once
    def answer(subject):
        calls.append(subject is not None)
        return len(calls)

    first, second = Subject(), Subject()
    assert [answer(first), answer(second), answer(first)] == [1, 2, 1]
    del first
    gc.collect()
    assert answer(Subject()) == 3
