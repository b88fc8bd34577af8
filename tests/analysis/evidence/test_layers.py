from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.evidence.layers import layer_agreement
from analysis.records.load import load_sweep
from analysis.tables.assumption_tables import layer_table
from workers.contract.records import Measurement
from workers.statistics.traces import TracesSpec

CURVATURE = np.array([1.0, 4.0, 9.0])


@pytest.fixture
def layered(store, sweep_in):
    """Add traces of three layers with tr H = 1, 4, 9 and tr σ² = scale·(tr H)^power, by seed."""

    def make(powers, **fields):
        sweep = sweep_in(store, pairs=[(50, 0.1)], seeds=list(range(len(powers))))
        sweep.statistics = []
        sweep.fill()

        def rows(seed):
            for quantity, values in (
                ("hessian_trace", CURVATURE),
                ("gradient_noise_trace", 0.1 * CURVATURE ** powers[seed]),
            ):
                for layer, value in zip("abc", values, strict=True):
                    yield row(quantity, layer, value, **fields)

        return sweep.add(TracesSpec(), rows)

    return make


def row(quantity, layer, value, **fields):
    settings = {"stderr": 0.0, "num_samples": 10, "method": "exact", "bn_mode": "frozen"}
    settings |= {"split": "train", "objective": "data"} | fields
    return Measurement(quantity=quantity, value=value, layer=layer, **settings)


def test_the_exponent_and_the_cosine_over_layers(store, layered):
    """Tr σ² = 0.1·(tr H)^γ with γ = 1 and 2: slopes as they are, t(1) = 12.7 over two seeds."""
    layered([1.0, 2.0])
    (found,) = layer_agreement(load_sweep(store, "toy"))
    assert (found.cell.batch_size, found.bn_mode) == (50, "frozen")
    assert (found.num_seeds, found.num_layers) == (2, 3)
    assert found.slope.value == pytest.approx(1.5)
    assert found.slope.high == pytest.approx(1.5 + 12.706 * 0.5, abs=1e-2)
    of_second = CURVATURE @ CURVATURE**2 / np.linalg.norm(CURVATURE) / np.linalg.norm(CURVATURE**2)
    assert found.cosine.value == pytest.approx((1 + of_second) / 2)


def test_noise_like_curvature_has_exponent_and_cosine_1(store, layered):
    """Jastrzębski's assumption up to the scale."""
    layered([1.0])
    (found,) = layer_agreement(load_sweep(store, "toy"))
    assert found.slope.value == pytest.approx(1.0)
    assert found.cosine.value == pytest.approx(1.0)
    assert found.slope.low is None
    table = layer_table([found])
    assert table.rows == (("50", "0.1", "frozen", "1 × 3", "1.00 [?]", "1.00 [?]"),)
    assert layer_table([]) is None


@pytest.mark.parametrize("fields", [{"split": "test"}, {"objective": "total"}])
def test_only_the_data_objective_on_the_training_split_counts(store, layered, fields):
    """L2 would give every layer the curvature of its size; other splits have other noise."""
    layered([1.0], **fields)
    assert layer_agreement(load_sweep(store, "toy")) == []


def test_equal_curvature_in_all_layers_has_no_exponent(store, layered, monkeypatch):
    """The cosine stands; a layer without curvature is left out."""
    monkeypatch.setattr(f"{__name__}.CURVATURE", np.array([2.0, 2.0, 2.0]))
    layered([1.0])
    (found,) = layer_agreement(load_sweep(store, "toy"))
    assert math.isnan(found.slope.value)
    assert found.cosine.value == pytest.approx(1.0)


def test_fewer_than_three_layers_tell_nothing(store, layered, monkeypatch):
    """Tr H = 0 in one of three leaves two."""
    monkeypatch.setattr(f"{__name__}.CURVATURE", np.array([0.0, 2.0, 3.0]))
    layered([1.0])
    assert layer_agreement(load_sweep(store, "toy")) == []


def test_records_are_arranged_once_for_all_trials(layered, store, monkeypatch):
    """One pivot of five trials; a pivot a trial was 48 s of CPU at 10,000."""
    layered([1.0, 1.1, 1.2, 1.3, 1.4])
    data, pivots, pivot = load_sweep(store, "toy"), [], pd.DataFrame.pivot_table

    def counted(*given, **named):
        pivots.append(named)
        return pivot(*given, **named)

    monkeypatch.setattr(pd.DataFrame, "pivot_table", counted)
    (found,) = layer_agreement(data)
    assert (found.num_seeds, found.num_layers) == (5, 3)
    assert len(pivots) == 1
