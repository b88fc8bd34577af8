from __future__ import annotations

import duckdb
import pytest

from analysis.aggregation.cell_measurements import cell_measurements
from analysis.records.load import load_sweep
from workers.contract.schema import VIEWS

_KEYS = "loss, batch_size, learning_rate, statistic_id, quantity, layer, split, objective"


def _rows(data, **conditions):
    rows = cell_measurements(data).to_pylist()
    return [row for row in rows if all(row[key] == value for key, value in conditions.items())]


def test_means_agree_with_sql(store, synthetic_sweep):
    """A second route: DuckDB's avg and stddev_samp over the same rows give the same view."""
    synthetic_sweep().fill()
    data = load_sweep(store, "toy")
    found = cell_measurements(data)
    connection = duckdb.connect()
    connection.register("planned", data.planned)
    connection.register("measurements", store.read("measurements"))
    expected = connection.sql(
        f"select {_KEYS}, count(value), avg(value), stddev_samp(value) / sqrt(count(value))"  # noqa: S608 - constant names
        f" from measurements join planned using (trial_id) group by {_KEYS} order by {_KEYS}"
    ).fetchall()
    connection.register("found", found)
    actual = connection.sql(
        f"select {_KEYS}, num_seeds, mean, stderr from found order by {_KEYS}"  # noqa: S608 - constant names
    ).fetchall()
    connection.close()
    assert len(actual) == len(expected) == 2 * 4 + 2 * 2 * 2 * 3
    for one, other in zip(actual, expected, strict=True):
        assert one[:-2] == other[:-2]
        assert one[-2:] == pytest.approx(other[-2:], rel=1e-12, abs=1e-15)


def test_layers_and_objectives_stay_apart(store, synthetic_sweep):
    """Whole model (null) and each layer, data and total, make rows of their own."""
    synthetic_sweep(weight_decay=0.1).fill()
    rows = _rows(load_sweep(store, "toy"), quantity="hessian_trace", batch_size=100)
    assert {(row["layer"], row["objective"]) for row in rows} == {
        (layer, objective) for layer in (None, "conv", "dense") for objective in ("data", "total")
    }
    whole = {row["objective"]: row["mean"] for row in rows if row["layer"] is None}
    assert whole["data"] == pytest.approx(5 / 0.1 + 1 + 0.5)
    assert whole["total"] == pytest.approx(whole["data"] + 7)


def test_one_seed_has_a_null_error(store, synthetic_sweep):
    """One value has no spread, and the view says null, not 0."""
    synthetic_sweep(seeds=[3]).fill()
    rows = _rows(load_sweep(store, "toy"))
    assert rows
    assert all(row["num_seeds"] == 1 and row["stderr"] is None for row in rows)


def test_values_that_are_not_numbers_are_not_averaged(store, synthetic_sweep):
    """NaN and infinite values are not counted; with none left the mean is null."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)])
    sweep.plan()
    for trial, value in zip(sweep.trials(), (float("nan"), 4.0, float("inf")), strict=True):
        sweep.train(trial)
        sweep.measure(trial, changes={"hessian_trace": value, "gradient_noise_trace": None})
    data = load_sweep(store, "toy")
    (hessian,) = _rows(data, quantity="hessian_trace", layer=None, objective="data")
    assert (hessian["num_seeds"], hessian["mean"], hessian["stderr"]) == (1, 4.0, None)
    (noise,) = _rows(data, quantity="gradient_noise_trace", layer=None, objective="data")
    assert (noise["num_seeds"], noise["mean"], noise["stderr"]) == (0, None, None)


def test_skipped_measurements_make_no_row(store, synthetic_sweep):
    """A skipped record has a reason and no value."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep.plan()
    sweep.train(sweep.trials()[0], outcome="diverged")
    sweep.measure(sweep.trials()[0], skipped_reason="the trial diverged")
    assert _rows(load_sweep(store, "toy")) == []


def test_nothing_measured_is_an_empty_view(store, synthetic_sweep):
    """A plan alone gives the columns and no rows."""
    synthetic_sweep().plan()
    found = cell_measurements(load_sweep(store, "toy"))
    assert found.num_rows == 0
    assert found.schema.equals(VIEWS["cell_measurements"])
