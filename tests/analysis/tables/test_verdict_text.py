from __future__ import annotations

import pytest

from analysis.findings.lacking import lacking_statistics
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.answer import answer
from analysis.tables.verdict_text import conclusion_text, verdict_text
from workers.attempts.measure import skipped
from workers.contract.identity import statistic_id, trial_id
from workers.contract.records import measurement_table


def test_verdicts_are_written_once_a_law_is_measured(prediction, predictions_table):
    """Laws × cells, then the league, by their names; at the end what queries call them. Without a measurement nothing."""
    text = verdict_text(predictions_table([prediction(1.0, half=0.01)]))
    assert "E[L]-L*: what the laws say, and what was measured, measured by fork 512" in text
    assert "E[L]-L*: league of the laws by median" in text
    assert text.count("\nWang 2019, Eq 4.45  ") == 2
    assert "1.00 [0.990, 1.01]" in text
    assert text.count("wang_4_45") == 1
    assert text.endswith("\nIn minima query, column prediction: wang_4_45 (Wang 2019, Eq 4.45).\n")
    assert verdict_text(predictions_table([prediction()])) == ""
    assert verdict_text(predictions_table([])) == ""


def test_the_last_words_say_which_law_holds_by_what_factor(
    prediction, predictions_table, paper_data, paper_table
):
    """And on how many cells and seeds; every line fits the terminal."""
    rows = predictions_table([prediction(1.0, half=0.01)])
    text = conclusion_text(paper_table, lacking_statistics(paper_data), 5, rows)
    assert text.startswith("Verdict on the excess loss, from 9 cells with 5 measured seeds each:\n")
    assert (
        "Wang 2019, Eq 4.45: holds. Measured is 1.00 [0.990, 1.01] times what it gives (by fork in 1 of 1 "
        "cell, where its assumptions are met)." in " ".join(text.split())
    )
    part = conclusion_text(paper_table, lacking_statistics(paper_data), 2, rows)
    assert "from 9 cells with 5 measured seeds each (the excess loss: 2):" in part
    for width in (40, 60, 100):
        lines = conclusion_text(
            paper_table, lacking_statistics(paper_data), 5, rows, width
        ).splitlines()
        assert max(map(len, lines)) <= width
        assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_where_no_law_is_tested_the_last_words_say_what_is_missing(
    predictions_table, paper_data, paper_table
):
    """The measurement to add, and how far apart the laws are by the traces alone."""
    text = conclusion_text(paper_table, lacking_statistics(paper_data), 5, predictions_table([]))
    assert "no law is tested yet, as the excess loss was not measured: add {name: fork}" in text
    ratios = [row.law_difference.value for row in paper_table.rows]
    assert (
        f"Wang 2019, Eq 4.45 gives {min(ratios):.2f} to {max(ratios):.0f} times the excess loss that "
        "Jastrzębski 2018, Eq 9 gives." in " ".join(text.split())
    )


@pytest.mark.parametrize(
    ("ratio", "is_valid", "told"),
    [
        (1.0, True, "1.00 [0.990, 1.01] times what it gives (by fork in 1 of 2 cells, where its assumptions are met)."),
        (2.0, True, "Wang 2019, Eq 4.45: fails. Measured is 2.00 [1.98, 2.02]"),
        (1.0, False, "agrees, though its assumptions are not met. Measured is 1.00 [1.00, 1.00] times what it gives (by fork in 2 cells)."),
    ],
)  # fmt: skip
def test_a_law_is_judged_where_its_assumptions_are_met(
    prediction, predictions_table, paper_data, paper_table, *, ratio, is_valid, told
):
    """As the report judges it; where they are met in no cell it agrees at most."""
    rows = predictions_table(
        [
            prediction(ratio, half=0.01, valid=is_valid),
            prediction(1.0, half=0.01, valid=False, batch_size=200),
        ]
    )
    text = conclusion_text(paper_table, lacking_statistics(paper_data), 5, rows)
    assert told in " ".join(text.split())


@pytest.mark.parametrize(
    ("measured", "planned", "told"),
    [
        ("", "losses", "tr σ², tr H and the excess loss were not measured: add traces and {name: fork} to `measure`."),
        ("fork", "losses fork", "tr σ² and tr H were not measured: add traces to `measure`."),
        ("traces", "losses traces", "the excess loss was not measured: add {name: fork} to `measure`."),
        ("fork", "losses fork traces", "tr σ² and tr H were not measured: it is planned, run again."),
        ("", "losses fork", "tr σ², tr H and the excess loss were not measured: add traces to `measure`."),
        ("fork traces", "fork traces", "no seed has a sound number on both sides of one."),
    ],
)  # fmt: skip
def test_only_statistics_that_are_missing_are_to_be_added(
    store, forked_sweep, predictions_table, *, measured, planned, told
):
    """Not fork where it was measured, nor what is planned and not done."""
    sweep = forked_sweep(pairs=[(50, 0.1)], seeds=[0])
    every = {each.name: each for each in sweep.statistics}
    sweep.statistics = [every[name] for name in planned.split()]
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial)
    rows = {"fork": sweep._fork_rows(trial), "traces": sweep._traces(trial)}
    for name in measured.split():
        key = (trial_id(trial), statistic_id(every[name]))
        found = measurement_table(key[0], every[name], key[1], rows[name])
        store.commit("measurements", key, "measuring", found)
    data = load_sweep(store, "toy")
    text = conclusion_text(build_table1(data), lacking_statistics(data), 0, predictions_table([]))
    assert f"no law is tested yet, as {told}" in " ".join(text.split())


def test_where_nothing_is_left_to_do_nobody_is_told_to_run_again(
    store, forked_sweep, predictions_table
):
    """Every trial diverged, and that is recorded for each statistic, forks and traces among them."""
    sweep = forked_sweep(pairs=[(100, 0.2)], seeds=[0])
    sweep.plan()
    (trial,) = sweep.trials()
    sweep.train(trial, outcome="diverged")
    for statistic in sweep.statistics:
        key = (trial_id(trial), statistic_id(statistic))
        rows = skipped(statistic, "diverged")
        store.commit("measurements", key, "a", measurement_table(key[0], statistic, key[1], rows))
    data = load_sweep(store, "toy")
    table, lacking = build_table1(data), lacking_statistics(data)
    text = " ".join(conclusion_text(table, lacking, 0, predictions_table([])).split())
    assert "as tr σ², tr H and the excess loss were not measured: every trial skipped that." in text
    assert answer(data, table, []).asides == [
        "The statistic traces measures tr σ² and tr H. The statistic fork measures the excess loss. "
        "Every trial skipped what would decide it."
    ]


def test_what_is_not_complete_stands_last(store, synthetic_sweep, predictions_table):
    """A cell of two seeds, of which one was measured."""
    sweep = synthetic_sweep(pairs=[(100, 0.2)], seeds=[0, 1])
    sweep.plan()
    sweep.train(sweep.trials()[0])
    data = load_sweep(store, "toy")
    text = conclusion_text(build_table1(data), lacking_statistics(data), 0, predictions_table([]))
    assert text.splitlines()[0].endswith("from 1 cell with 0 measured seeds each:")
    assert text.splitlines()[-1] == "Not complete: 1 of 1 cell."
