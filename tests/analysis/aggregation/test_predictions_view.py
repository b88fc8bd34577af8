from __future__ import annotations

import math

import pytest

from analysis.aggregation.predictions_view import predictions
from analysis.evidence.agreement import agreement
from analysis.evidence.conditions import all_conditions
from analysis.findings.table1 import table1
from analysis.laws.reasons import NO_STATIONARY_STATE, SHUFFLED
from analysis.laws.spectral_law import NOT_MEASURED
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from analysis.tables.table1_text import render_text
from workers.contract.identity import earlier_statistic_ids, statistic_id, trial_id
from workers.contract.records import SpectrumNode, measurement_table
from workers.contract.schema import VIEWS
from workers.contract.statistics import PluginStatisticSpec
from workers.statistics.batch_noise import BatchNoiseSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.spectrum import SpectrumSpec
from workers.statistics.tail import TailSpec
from workers.statistics.traces import TracesSpec

FORK = ForkSpec(num_steps=64, num_windows=2, records_per_window=4, learning_rate=0.02)
TAIL = TailSpec(learning_rate=0.02, num_steps=64_000)
SPECTRUM = SpectrumSpec(objective="total")
CURVATURE = 5.0


@pytest.fixture
def rows_of(store):
    """Give the rows of the view."""

    def make(sweep="toy"):
        data = load_sweep(store, sweep)
        table = predictions(sweep, all_conditions(data, cell_states(data), agreement(data)))
        assert table.schema.equals(VIEWS["predictions"])
        return table.to_pylist()

    return make


@pytest.fixture
def predict(rows_of):
    """Give the excess losses predicted for the sweep by (law, batch size)."""

    def make():
        rows = [row for row in rows_of() if row["target"] == "excess_loss"]
        return {(row["prediction"], row["batch_size"]): row for row in rows}

    return make


@pytest.fixture
def one_cell(synthetic_sweep):
    """Make a measured sweep of one cell, η = 0.1 falling to 0.01, m = 100, independent batches."""
    return synthetic_sweep(weight_decay=0.1, sampler="replacement", pairs=[(100, 0.1)]).fill()


@pytest.fixture
def with_spectrum(one_cell, seen):
    """Add two draws of μ_σ, of different mass, at one curvature."""
    nodes = [
        SpectrumNode(kind="noise", draw=draw, node=CURVATURE, weight=50.0 * (draw + 1))
        for draw in range(2)
    ]
    return one_cell.add(SPECTRUM, lambda seed: [seen("hessian_frobenius_squared", 1.0)], nodes)


def test_every_cell_has_a_row_for_every_law(synthetic_sweep, rows_of):
    """The laws use the final learning rate and the total objective; all is recorded."""
    synthetic_sweep(weight_decay=0.1, sampler="replacement").fill()
    found = {(row["prediction"], row["target"], row["batch_size"]): row for row in rows_of()}
    both = ("excess_loss", "expected_gradient_norm_squared")
    of_law = {
        "wang_4_45": both[:1], "jastrzebski_9": both[:1], "wang_4_46": both[1:],
        "finite_learning_rate": both, "finite_time": both, "shuffled": both,
    }  # fmt: skip
    assert set(found) == {
        (law, target, m)
        for law, targets in of_law.items()
        for target in targets
        for m in (100, 200)
    }
    row = found["jastrzebski_9", "excess_loss", 100]
    assert row["learning_rate_used"] == pytest.approx(0.01)
    assert row["predicted"] == pytest.approx(0.01 / 400 * (5 / 0.1 + 1 + 0.5 + 7))
    assert row["statistic_id"] == statistic_id(TracesSpec())
    assert (row["bn_mode"], row["sampler"], row["num_steps"]) == ("frozen", "replacement", None)
    assert (row["measured"], row["measured_by"], row["log_ratio"]) == (None, None, None)
    assert (row["log_ratio_low"], row["log_ratio_high"], row["verdict"]) == (None, None, None)
    row = found["wang_4_45", "excess_loss", 100]
    assert row["valid"] is True
    assert row["reason"] == "excess loss was not measured"
    row = found["finite_time", "expected_gradient_norm_squared", 100]
    assert (row["predicted"], row["valid"]) == (None, False)
    assert row["reason"] == f"{NOT_MEASURED}; E‖∇L‖² was not measured"


def test_a_law_that_the_traces_contradict_is_not_valid(synthetic_sweep, predict):
    """The traces 100 of σ² and 58 of H are not one: the law that takes them for one says so."""
    synthetic_sweep(weight_decay=0.1, sampler="replacement").fill()
    row = predict()["jastrzebski_9", 100]
    assert row["valid"] is False
    assert row["reason"] == (
        "not so in 3 of 3 seeds: σ² = H: tr σ² / tr H is 1 ± 0.1, here 1.73; "
        "excess loss was not measured"
    )


def test_values_of_an_earlier_numerics_version_are_told_apart(one_cell, predict):
    """They stand with their numbers, whichever version planned them, and no law is valid on them."""
    plan, traces = one_cell.plan(), one_cell.statistics[1]
    earlier = earlier_statistic_ids(traces)[0]
    assert predict()["wang_4_45", 100]["valid"] is True
    for trial in one_cell.trials():
        key = (trial_id(trial), earlier)
        found = measurement_table(key[0], traces, earlier, one_cell._traces(trial))
        one_cell.store.commit("measurements", key, "earlier", found)
    then = plan.statistics[1].model_copy(update={"statistic_id": earlier})
    changed = plan.model_copy(update={"statistics": [plan.statistics[0], then]})
    path = one_cell.store.plan_path(one_cell.name, one_cell.revision)
    one_cell.store.write_json(path, changed.model_dump(mode="json"))
    row = predict()["wang_4_45", 100]
    assert (row["statistic_id"], row["valid"]) == (earlier, False)
    assert row["predicted"] is not None
    assert row["reason"] == "; ".join(row["reasons"])
    assert row["reasons"][0] == (
        "an earlier version of the numerics measured traces: values and errors of this one differ; "
        "--remeasure measures them anew"
    )
    note = table1(one_cell.store, one_cell.name)
    assert (
        "An earlier version of the numerics measured traces of some seeds: --remeasure measures them anew."
    ) in render_text(note)


def test_without_weight_decay_a_law_is_not_valid(synthetic_sweep, predict):
    """The number is given, with the reason why it cannot be expected to hold."""
    synthetic_sweep().fill()
    row = predict()["wang_4_45", 100]
    assert row["predicted"] == pytest.approx(0.01 / 400 * 101)
    assert row["valid"] is False
    assert row["reason"] == f"{NO_STATIONARY_STATE}; {SHUFFLED}; excess loss was not measured"


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


def test_a_plugin_that_measures_the_excess_loss_is_compared(one_cell, seen, predict):
    """It is taken for a stationary run at the final rate; log_ratio = ln(measured/predicted)."""
    one_cell.add(
        PluginStatisticSpec(name="json:dumps"),
        lambda seed: [seen("excess_loss", 0.004 + 0.001 * seed)],
    )
    row = predict()["wang_4_45", 100]
    assert row["measured"] == pytest.approx(0.005)
    assert row["measured_stderr"] == pytest.approx(0.001 / math.sqrt(3))
    assert row["measured_by"] == "json:dumps"
    assert row["log_ratio"] == pytest.approx(math.log(0.005 / row["predicted"]))
    assert row["log_ratio_low"] < row["log_ratio"] < row["log_ratio_high"]
    assert (row["verdict"], row["valid"], row["reason"]) == ("fails", True, None)


def _closed_form(steps, mass, learning_rate=0.02, batch_size=100):
    decays = [(1 - learning_rate * CURVATURE) ** (2 * step) for step in steps]
    factor = learning_rate * mass / (2 * batch_size * (2 - learning_rate * CURVATURE))
    return factor * (1 - sum(decays) / len(decays))


def test_noise_that_changes_on_the_way_is_told_with_the_law(with_spectrum, seen, rows_of):
    """Streams that met half of the noise of the kept weights contradict no law: it is not valid there."""

    def measured(seed):
        for window in FORK.windows():
            loss = 0.5 * _closed_form(window, 100 + seed)
            yield seen("excess_loss", loss, index=window[-1])
            yield seen("gradient_noise_trace", 0.5 * (100 + seed), index=window[-1])

    with_spectrum.add(FORK, measured)
    rows = [row for row in rows_of() if row["prediction"] == "finite_time" and row["measured"]]
    assert len(rows) == 2
    for row in rows:
        assert (row["verdict"], row["valid"]) == ("fails", False)
        assert "σ² is the same where SGD goes" in row["reason"]
        assert "here 0.5" in row["reason"]


def test_every_window_of_a_fork_is_held_against_finite_time(with_spectrum, seen, rows_of):
    """Windows (16, 32] and (32, 64] at the fork's own rate, with μ_σ of mass tr σ² = 100 + seed at λ = 5.

    What was measured is the closed form itself: the law holds in both windows, for both targets.
    """

    def measured(seed):
        for window in FORK.windows():
            loss = _closed_form(window, 100 + seed)
            yield seen("excess_loss", loss, index=window[-1])
            yield seen("expected_gradient_norm_squared", 2 * CURVATURE * loss, index=window[-1])
            yield seen("gradient_noise_trace", 1.05 * (100 + seed), index=window[-1])

    with_spectrum.add(FORK, measured)
    rows = [row for row in rows_of() if row["prediction"] == "finite_time"]
    assert [(row["num_steps"], row["target"]) for row in rows] == [
        (32, "excess_loss"), (32, "expected_gradient_norm_squared"),
        (64, "excess_loss"), (64, "expected_gradient_norm_squared"),
    ]  # fmt: skip
    for row in rows:
        assert row["learning_rate_used"] == 0.02
        assert row["measured_by"] == "fork"
        assert row["statistic_id"] == statistic_id(SPECTRUM)
        assert row["log_ratio"] == pytest.approx(0, abs=1e-9)
        assert (row["verdict"], row["valid"], row["reason"]) == ("holds", True, None)
    (long,) = [row for row in rows_of() if row["prediction"] == "wang_4_45"]
    assert long["num_steps"] == 64
    assert long["predicted"] == pytest.approx(0.02 / 400 * 101)


def test_a_tail_is_held_against_the_stationary_laws(with_spectrum, seen, rows_of):
    """Its rows have no number of steps, and all laws but the shuffled one are for it."""

    def measured(seed):
        loss = 0.02 / 400 * (100 + seed) / (1 - 0.02 * CURVATURE / 2)
        return [seen("excess_loss", loss), seen("fluctuation_dissipation_gap", 0.0)]

    with_spectrum.add(TAIL, measured)
    rows = {row["prediction"]: row for row in rows_of() if row["target"] == "excess_loss"}
    assert {row["num_steps"] for row in rows.values()} == {None}
    for law in ("finite_learning_rate", "finite_time"):
        assert rows[law]["log_ratio"] == pytest.approx(0, abs=1e-9)
        assert (rows[law]["verdict"], rows[law]["valid"]) == ("holds", True)
    assert rows["wang_4_45"]["log_ratio"] == pytest.approx(-math.log(1 - 0.02 * CURVATURE / 2))
    assert rows["shuffled"]["valid"] is False


def test_a_stationary_law_is_not_valid_where_the_tail_is_not_stationary(one_cell, seen, rows_of):
    """A gap whose interval misses 0 breaks every law for it, and the reason says so."""

    def measured(seed):
        return [seen("excess_loss", 1.0), seen("fluctuation_dissipation_gap", 5.0, stderr=1.0)]

    one_cell.add(TAIL, measured)
    (row,) = [row for row in rows_of() if row["prediction"] == "wang_4_45"]
    assert row["valid"] is False
    assert row["reason"].startswith("not so in 3 of 3 seeds: SGD is stationary: ")


def test_seeds_that_ran_away_are_counted(one_cell, seen, rows_of):
    """A fork without values has its rows, and the reason says that it was unstable."""

    def measured(seed):
        reason = "unstable: ηλ₁ is 2.3"
        return [seen("excess_loss", None, stderr=None, index=64, skipped_reason=reason)]

    one_cell.add(FORK, measured)
    (row,) = [row for row in rows_of() if row["prediction"] == "wang_4_45"]
    assert (row["measured"], row["valid"]) == (None, False)
    assert "fork of 3 seeds was unstable at η = 0.02" in row["reason"].split("; ")


def test_like_is_compared_with_like_seed_by_seed(one_cell, seen, rows_of):
    """Where one seed of three ran away, measured and predicted are means over the other two."""

    def measured(seed):
        if seed == 1:
            reason = "unstable: ηλ₁ is 2.3"
            return [seen("excess_loss", None, stderr=None, index=64, skipped_reason=reason)]
        return [seen("excess_loss", 0.02 / 400 * (100 + seed), index=64)]

    one_cell.add(FORK, measured)
    (row,) = [row for row in rows_of() if row["prediction"] == "wang_4_45"]
    assert row["measured"] == pytest.approx(0.02 / 400 * 101)
    assert row["predicted"] == pytest.approx(row["measured"])
    assert row["log_ratio"] == pytest.approx(0, abs=1e-12)
    parts = row["reason"].split("; ")
    assert "excess loss has a value in 2 of 3 seeds, which alone count" in parts
    assert any(part.startswith("fork of 1 seed") for part in parts)


def test_batch_mode_has_its_own_traces(one_cell, seen, rows_of):
    """A fork in batch mode takes tr σ² of `batch_noise` at m; that of frozen batch norm is not for it."""
    fork = ForkSpec(bn_mode="batch", num_steps=64, num_windows=1)

    def noise(seed):
        fields = {"bn_mode": "batch", "objective": "total"}
        return [
            seen("gradient_noise_trace", value, method=f"batch_pairs_{size}", **fields)
            for size, value in ((100, 8.0), (200, 12.0))
        ]

    def measured(seed):
        return [seen("excess_loss", 1.0, bn_mode="batch", index=64)]

    one_cell.add(BatchNoiseSpec(), noise).add(fork, measured)
    (row,) = [row for row in rows_of() if row["prediction"] == "wang_4_45"]
    assert row["bn_mode"] == "batch"
    assert row["predicted"] == pytest.approx(0.01 / 400 * 8)
    assert row["statistic_id"] == statistic_id(BatchNoiseSpec())


def test_a_prediction_below_zero_is_not_valid(one_cell, seen, rows_of):
    """μ_σ at a negative curvature, as streams meet it: the row keeps its number, and says what is wrong."""
    nodes = [SpectrumNode(kind="noise", draw=draw, node=-5.0, weight=50.0) for draw in range(2)]
    one_cell.add(SPECTRUM, lambda seed: [seen("hessian_frobenius_squared", 1.0)], nodes)

    def measured(seed):
        for window in FORK.windows():
            yield seen("gradient_noise_trace", 100.0 + seed, index=window[-1])

    one_cell.add(FORK, measured)
    laws = ("finite_time", "finite_time_drift")
    rows = [row for row in rows_of() if row["prediction"] in laws]
    assert len(rows) == 8
    for row in rows:
        is_excess = row["target"] == "excess_loss"
        assert (row["predicted"] < 0, row["valid"]) == (is_excess, not is_excess)
        told = "the predicted excess loss is not above 0 in 3 of 3 seeds, here -"
        assert row["reason"].startswith(told) == is_excess
