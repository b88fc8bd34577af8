from __future__ import annotations

import math

import pytest

from analysis.cell_states import cell_states
from analysis.load import load_sweep
from analysis.predictions.law import NO_STATIONARY_STATE, SHUFFLED
from analysis.predictions.view import predictions
from workers.contract.identity import statistic_id, trial_id
from workers.contract.records import Measurement, measurement_table
from workers.contract.schema import VIEWS
from workers.contract.specs import PluginSpec
from workers.contract.statistics import TracesSpec


@pytest.fixture
def predict(store):
    """Give the predictions of the sweep by (law, batch size)."""

    def make(sweep="toy"):
        data = load_sweep(store, sweep)
        table = predictions(data, cell_states(data))
        assert table.schema.equals(VIEWS["predictions"])
        return {(row["prediction"], row["batch_size"]): row for row in table.to_pylist()}

    return make


def test_every_cell_has_a_row_for_every_law(synthetic_sweep, predict):
    """The laws use the final learning rate and the total objective; all is recorded."""
    synthetic_sweep(weight_decay=0.1, sampler="replacement").fill()
    found = predict()
    assert set(found) == {(law, m) for law in ("wang_4_45", "jastrzebski_9") for m in (100, 200)}
    row = found["jastrzebski_9", 100]
    assert row["learning_rate_used"] == pytest.approx(0.01)
    assert row["predicted"] == pytest.approx(0.01 / 400 * (5 / 0.1 + 1 + 0.5 + 7))
    assert row["statistic_id"] == statistic_id(TracesSpec())
    assert (row["bn_mode"], row["sampler"], row["num_steps"]) == ("frozen", "replacement", None)
    assert (row["measured"], row["measured_by"], row["log_ratio"]) == (None, None, None)
    assert row["valid"] is True
    assert row["reason"] == "excess loss was not measured"


def test_without_weight_decay_a_law_is_not_valid(synthetic_sweep, predict):
    """The number is given, with the reason why it cannot be expected to hold."""
    synthetic_sweep().fill()
    row = predict()["wang_4_45", 100]
    assert row["predicted"] == pytest.approx(0.01 / 400 * 101)
    assert row["valid"] is False
    assert row["reason"] == f"{NO_STATIONARY_STATE}; excess loss was not measured; {SHUFFLED}"


@pytest.mark.parametrize(
    ("weight_decay", "law", "is_predicted"),
    [
        (0.0, "wang_4_45", True),
        (0.0, "jastrzebski_9", True),
        (0.1, "wang_4_45", True),
        (0.1, "jastrzebski_9", False),
    ],
)
def test_data_traces_serve_where_they_are_the_total(
    synthetic_sweep, predict, weight_decay, law, is_predicted
):
    """L2 changes tr H and leaves tr σ²; without weight decay both objectives are one."""
    synthetic_sweep(weight_decay=weight_decay, objectives=("data",)).fill()
    row = predict()[law, 100]
    assert (row["predicted"] is not None) == is_predicted
    assert ("tr H was not measured" in row["reason"]) != is_predicted


def test_nothing_measured_predicts_null(synthetic_sweep, predict):
    """A cell without records keeps its rows, and says what is missing."""
    synthetic_sweep(weight_decay=0.1, sampler="replacement").plan()
    row = predict()["wang_4_45", 100]
    assert (row["predicted"], row["predicted_stderr"], row["valid"]) == (None, None, False)
    assert row["reason"] == (
        "tr σ² was not measured; excess loss was not measured; "
        "the cell is incomplete: 3 of 3 seeds missing"
    )


def test_a_measured_excess_loss_stands_beside_its_prediction(store, synthetic_sweep, predict):
    """Any listed statistic that gives `excess_loss` is compared: log_ratio = ln(measured/predicted)."""
    sweep = synthetic_sweep(weight_decay=0.1, sampler="replacement", pairs=[(100, 0.1)]).fill()
    plugin = PluginSpec(name="json:dumps")
    sweep.statistics.append(plugin)
    sweep.revision = "20260301T000000-aa"
    sweep.plan()
    for trial in sweep.trials():
        row = Measurement(
            quantity="excess_loss", value=0.004 + 0.001 * trial.seed, stderr=0.0, num_samples=10,
            method="forks", bn_mode="frozen", split="train", objective="total",
        )  # fmt: skip
        key = (trial_id(trial), statistic_id(plugin))
        store.commit("measurements", key, "a", measurement_table(key[0], plugin, key[1], [row]))
    row = predict()["wang_4_45", 100]
    assert row["measured"] == pytest.approx(0.005)
    assert row["measured_stderr"] == pytest.approx(0.001 / math.sqrt(3))
    assert row["measured_by"] == "json:dumps"
    assert row["log_ratio"] == pytest.approx(math.log(0.005 / row["predicted"]))
    assert (row["valid"], row["reason"]) == (True, None)
