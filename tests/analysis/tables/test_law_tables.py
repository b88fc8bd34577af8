from __future__ import annotations

import pytest

from analysis.findings.law_rows import law_rows
from analysis.findings.league import league
from analysis.tables.law_tables import league_tables, verdict_tables
from analysis.tables.report_tables import prediction_table
from analysis.text.text_table import render


def test_the_league_says_which_windows_judge(prediction, predictions_table):
    """Each law that speaks of every window is named, the drift of the noise too; no other is."""
    names = ("wang_4_45", "finite_time", "finite_time_drift")
    rows = [prediction(1.0, prediction=name) for name in names]
    (table,) = league_tables(league(predictions_table(rows).to_pandas()))
    assert table.notes[-1].endswith(
        "Every window of forks judges these: Finite time, from one point; Finite time, drifting noise. "
        "The longest one, and tails, judge the other laws."
    )
    (table,) = league_tables(league(predictions_table(rows[:1]).to_pandas()))
    assert table.notes[-1].endswith("Laws are judged by the longest window of forks and by tails.")


def test_every_law_stands_beside_the_measurement(prediction, predictions_table):
    """Law, cell, predicted, measured, ratio, verdict, valid: one row at the end of an excursion."""
    rows = [
        prediction(1.5, batch_size=200, valid=False),
        prediction(1.0, half=0.01),
        prediction(1.0, num_steps=256),
        prediction(1.0, half=0.01, batch_size=400, valid=False),
        prediction(measured=2e-5, prediction="jastrzebski_9", predicted=None, valid=False),
    ]
    (table,) = verdict_tables(law_rows(predictions_table(rows).to_pandas()))
    assert table.title == "E[L]-L*: what the laws say, and what was measured, measured by fork 512"
    assert table.rows == (
        ("jastrzebski_9", "100", "0.1", "–", "2.000×10⁻⁵ ± ?", "–", "–", "no"),
        ("wang_4_45", "100", "0.1", "(2.00 ± 0.10)×10⁻⁵", "(2.00 ± 0.10)×10⁻⁵",
         "1.00 [0.990, 1.01]", "holds", "yes"),
        ("wang_4_45", "200", "0.1", "(2.00 ± 0.10)×10⁻⁵", "(3.00 ± 0.15)×10⁻⁵",
         "1.50 [1.43, 1.58]", "fails", "no"),
        ("wang_4_45", "400", "0.1", "(2.00 ± 0.10)×10⁻⁵", "(2.00 ± 0.10)×10⁻⁵",
         "1.00 [0.990, 1.01]", "agrees", "no"),
    )  # fmt: skip


def test_ways_of_measuring_are_named_where_they_differ(prediction, predictions_table):
    """Tails, batch statistics, samplers and rates get a column of their own."""
    rows = [
        prediction(1.0),
        prediction(1.0, bn_mode="batch"),
        prediction(1.0, measured_by="tail", num_steps=None, sampler="shuffle"),
        prediction(1.0, learning_rate_used=0.002),
    ]
    (table,) = verdict_tables(law_rows(predictions_table(rows).to_pandas()))
    assert table.columns[3] == "measured by"
    assert sorted(row[3] for row in table.rows) == [
        "fork 512, batch, replacement, η 0.01",
        "fork 512, frozen, replacement, η 0.002",
        "fork 512, frozen, replacement, η 0.01",
        "tail, frozen, shuffle, η 0.01",
    ]


def test_the_league_has_a_table_for_each_quantity(prediction, predictions_table):
    """Sorted, with single cells counted, one verdict, and the valid cells of all."""
    rows = [
        prediction(1.0, half=0.01),
        prediction(0.01, prediction="jastrzebski_9", valid=False),
        prediction(1.0, half=0.01, prediction="shuffled", valid=False),
        prediction(1.0, prediction="wang_4_46", target="expected_gradient_norm_squared"),
    ]
    first, second = league_tables(league(predictions_table(rows).to_pandas()))
    assert first.title == "E[L]-L*: league of the laws by median |ln(measured/predicted)|"
    assert first.rows == (
        ("shuffled", "fork, frozen", "0.00", "1.00 [0.990, 1.01]", "1", "0", "agrees",
         "0/1"),
        ("wang_4_45", "fork, frozen", "0.00", "1.00 [0.990, 1.01]", "1", "0", "holds",
         "1/1"),
        ("jastrzebski_9", "fork, frozen", "4.61", "0.0100 [0.00951, 0.0105]", "0", "1",
         "fails", "0/1"),
    )  # fmt: skip
    assert second.rows[0][0] == "wang_4_46"


def test_a_law_is_named_and_keeps_its_identifier(prediction, predictions_table):
    """In the verdicts, the league and the table of predictions: for readers, and for those who query."""
    found = predictions_table([prediction(1.0, prediction="jastrzebski_9")])
    frame = found.to_pandas()
    tables = [
        *verdict_tables(law_rows(frame)),
        *league_tables(league(frame)),
        prediction_table(found),
    ]
    laws = [row[0] for table in tables for row in table.rows]
    assert laws == ["jastrzebski_9"] * 3
    assert [law.human_name for law in laws] == ["Jastrzębski 2018, Eq 9"] * 3


@pytest.mark.parametrize("ratio", [1.0, 1234.5, 1e-6])
def test_the_text_fits_a_terminal(prediction, predictions_table, ratio):
    """At most 120 columns with one way of measuring, however far a law is off."""
    rows = [
        prediction(ratio, prediction="finite_learning_rate", batch_size=size, learning_rate=0.08)
        for size in (100, 50_000)
    ]
    frame = predictions_table(rows).to_pandas()
    for table in [*verdict_tables(law_rows(frame)), *league_tables(league(frame))]:
        assert max(map(len, render(table).splitlines())) <= 120


def test_nothing_measured_makes_no_table():
    """The report and the command line then say nothing of verdicts."""
    assert verdict_tables([]) == []
    assert league_tables([]) == []
