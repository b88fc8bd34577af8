"""Cost and what is unfinished, as tables and sentences."""

from __future__ import annotations

import math

from analysis.findings.cost import Cost, PaidWork, Precision
from analysis.findings.unfinished import OpenSeeds
from analysis.records.cell import Cell
from analysis.tables.measured.cost_tables import (
    cost_sentence,
    cost_table,
    precision_table,
    unfinished_table,
)

COST = Cost(
    PaidWork("training", 4, 2.0, 0.0, 40.0),
    (PaidWork("traces", 4, 5.0, 0.0, 16.0), PaidWork("losses", 4, math.nan, math.nan, math.nan)),
)


def test_training_and_measuring_are_told_apart():
    assert cost_sentence(COST) == "7 core-hours (2 of training, 5 of measuring)."
    table = cost_table(COST)
    assert table.rows[1] == ("traces", "4", "5", "71.4", "16", "1.25")
    assert table.rows[2] == ("losses", "4", "–", "–", "–", "–")


def test_gpu_hours_stand_where_there_are_any():
    found = Cost(PaidWork("training", 1, 2.0, 0.5, 4.0), ())
    assert cost_sentence(found) == "2 core-hours (2 of training, 0 of measuring), 0.5 GPU-hours."
    assert "GPU-hours" in cost_table(found).columns
    assert "GPU-hours" not in cost_table(COST).columns


def test_nothing_trained_and_nothing_estimated_give_no_table():
    assert cost_table(Cost(PaidWork("training", 0, 0.0, 0.0, 0.0), ())) is None
    exact = Precision("hessian_trace", "traces", "data", 0.0, 1.0, 0.0)
    assert precision_table([exact]) is None
    estimate = Precision("hessian_trace", "traces", "data", 0.02, 0.5, 2.0)
    assert precision_table([exact, estimate]).rows == (
        ("tr H", "traces", "data", "2", "0.5", "2"),
    )  # fmt: skip


def test_the_command_is_named_where_it_would_do_something():
    """A recorded divergence is done: no command finishes it."""
    cell = Cell("kld", 100, 0.1)
    lost = OpenSeeds(cell, (0, 2), "diverged", ())
    open_ = OpenSeeds(cell, (1,), "failed", ("traces",))
    assert unfinished_table([], "minima run toy.yaml") is None
    assert unfinished_table([lost], "minima run toy.yaml").notes == ()
    table = unfinished_table([lost, open_], "minima run toy.yaml")
    assert table.rows == (
        ("100", "0.1", "0, 2", "diverged", "nothing: there is no minimum to measure"),
        ("100", "0.1", "1", "failed", "traces"),
    )
    assert table.notes == ("minima run toy.yaml finishes what is missing or failed.",)
