"""What disagrees is told: in view `validity`, by the commands, in the report, and by the laws that use it."""

from __future__ import annotations

import json
import math
import warnings

import pytest

from analysis.aggregation.aggregate import aggregate
from analysis.aggregation.agreement_rows import disagreement_line, disagreements
from analysis.evidence.assumptions import AGREEMENT
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.conclusions import conclude
from analysis.report.law_section import law_section
from analysis.report.web.render import render_section
from orchestrator.commands.store_commands import aggregate as aggregate_command
from orchestrator.commands.sweep_commands import conclude as conclude_run
from orchestrator.machine.console import Output
from workers.statistics.hessian import HessianSpec

SEEDS = [0, 1, 2]
HESSIAN = HessianSpec(objective="total")


@pytest.fixture
def aggregated(synthetic_sweep, store, seen):
    """Aggregate one cell where `hessian` states tr H of `traces`, 58 + seed/2, moved by so many errors of 0.5."""

    def make(moved, **rows_by_seed):
        sweep = synthetic_sweep(
            weight_decay=0.1, sampler="replacement", pairs=[(100, 0.1)], seeds=SEEDS
        ).fill()
        sweep.add(
            HESSIAN,
            lambda seed: [
                seen("hessian_trace", 58 + seed / 2 + moved * 0.5 * (seed == 1), stderr=0.5),
                *rows_by_seed.get(f"of_{seed}", []),
            ],
        )
        return sweep, aggregate(store, "toy")

    return make


def _agreements(found):
    return [row for row in found.validity.to_pylist() if row["test"] == AGREEMENT.name]


def test_agreement_has_a_row_for_each_trial_that_passes(aggregated):
    """Where it is of the kept weights: the final rate of training, its sampler, no excursion."""
    _, found = aggregated(1.0)
    rows = _agreements(found)
    assert [(row["seed"], row["passes"]) for row in rows] == [(seed, True) for seed in SEEDS]
    assert rows[0]["learning_rate_used"] == pytest.approx(0.01)
    told = ("sampler", "bn_mode", "statistic_id", "quantity", "layer", "split", "detail", "meaning")
    assert [rows[0][name] for name in told] == [
        "replacement", "frozen", None, "hessian_trace", None, "train", None, AGREEMENT.meaning,
    ]  # fmt: skip
    assert disagreement_line(found.validity.to_pandas()) is None


def test_a_disagreement_is_a_row_that_fails(aggregated):
    """One trial of three; the stored view says which statistics, and what each states."""
    _, found = aggregated(6.0)
    assert [row["passes"] for row in _agreements(found)] == [True, False, True]
    (told,) = disagreements(found.validity.to_pandas())
    assert told["detail"] == "traces 58.5 ± 0, hessian 61.5 ± 0.5"
    assert (told["quantity"], told["layer"], told["bn_mode"]) == ("hessian_trace", None, "frozen")


def test_laws_do_not_rest_on_what_statistics_disagree_about(aggregated):
    """Of `jastrzebski_9` alone tr H is the input: its reason names it, the other laws' do not."""
    fault = "statistics disagree about tr H in 1 of 3 seeds: traces 58.5 ± 0, hessian 61.5 ± 0.5"
    _, found = aggregated(6.0)
    blamed = {row["prediction"] for row in found.predictions.to_pylist() if fault in row["reason"]}
    assert blamed == {"jastrzebski_9"}
    (row,) = [row for row in found.predictions.to_pylist() if row["prediction"] == "jastrzebski_9"]
    assert row["valid"] is False


@pytest.mark.parametrize(("moved", "valid"), [(1.0, True), (6.0, False)])
def test_only_a_disagreement_takes_a_law_its_validity(aggregated, seen, moved, valid):
    """`wang_4_45` from tr σ² = 101 of seed 1, which another statistic states so many errors away."""
    noise = [seen("gradient_noise_trace", 101 + moved, stderr=1.0)]
    _, found = aggregated(0.0, of_1=noise)
    (row,) = [row for row in found.predictions.to_pylist() if row["prediction"] == "wang_4_45"]
    assert row["valid"] is valid


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_values_that_are_no_numbers_are_told_and_used_nowhere(aggregated, seen, value):
    """No warning of an overflow on the way; laws go by seeds that have a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, found = aggregated(
            0.0, of_0=[seen("hessian_noise_trace", value)], of_1=[seen("hessian_noise_trace", 2.0)]
        )
    (told,) = disagreements(found.validity.to_pandas())
    assert told["detail"] == f"hessian {value:g} ± 0"
    row = next(row for row in found.predictions.to_pylist() if row["prediction"] == "wang_4_46")
    assert row["predicted"] == pytest.approx(0.01 / 200 * 2)
    assert not row["valid"]
    assert f"statistics disagree about tr(σ²H) in 1 of 3 seeds: {told['detail']}" in row["reason"]


def test_the_line_names_the_worst_and_counts_the_others(aggregated, seen):
    """A layer by its name, a quantity by its symbol where it has one."""
    _, found = aggregated(6.0, of_2=[seen("hessian_trace", 99.0, stderr=0.01, layer="dense")])
    rows = {row["seed"]: row["trial_id"] for row in _agreements(found)}
    assert disagreement_line(found.validity.to_pandas()) == (
        f"statistics disagree in trial {rows[2]} about tr H of layer dense, split train, batch norm "
        "frozen: traces 29.5 ± 0, hessian 99 ± 0.01 (1 more in view validity)"
    )


def test_the_command_notes_it_and_lists_it_in_json(aggregated, store, capsys):
    """The line on standard error in either case, the list in the document alone."""
    _, found = aggregated(6.0)
    line = disagreement_line(found.validity.to_pandas())
    assert aggregate_command("toy", store.uri, Output(is_json=True)) == 0
    printed = capsys.readouterr()
    assert printed.err == f"{line}\n"
    document = json.loads(printed.out)
    assert document["disagreements"] == disagreements(found.validity.to_pandas())
    assert aggregate_command("toy", store.uri, Output()) == 0
    assert f"{line}\n" in capsys.readouterr().err


def test_a_run_ends_with_it_too(aggregated, store, capsys):
    """The exit code stays that of the run."""
    sweep, found = aggregated(6.0)
    assert conclude_run(store, sweep.plan(), Output(is_json=True), 0) == 0
    printed = capsys.readouterr()
    assert printed.err == f"{disagreement_line(found.validity.to_pandas())}\n"
    assert json.loads(printed.out)["disagreements"] == disagreements(found.validity.to_pandas())


def test_nothing_is_said_where_all_agree(aggregated, store, capsys):
    """An empty list, and no line."""
    aggregated(0.0)
    aggregate_command("toy", store.uri, Output(is_json=True))
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["disagreements"], printed.err) == ([], "")


def test_the_report_says_it_above_its_assumptions(aggregated, store):
    """The test stands in the table too: two of three seeds pass."""
    _, found = aggregated(6.0)
    data = load_sweep(store, "toy")
    laws = conclude(
        data,
        build_table1(data),
        predictions=found.predictions,
        validity=found.validity,
        cell_measurements=found.cell_measurements,
    )
    page = render_section(law_section(laws, {}))
    assert "statistics disagree in trial" in page
    assert AGREEMENT.name in page
    assert "(2/3)" in page
