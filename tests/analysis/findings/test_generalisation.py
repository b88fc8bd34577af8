from __future__ import annotations

import math

from analysis.findings.generalisation import gap, generalisation_table
from analysis.records.cell_states import cell_states
from analysis.records.load import load_sweep
from analysis.records.seed_values import SeedValues


def test_gaps_are_paired_by_seed():
    """Only seeds with both values count, and what they share cancels."""
    test = SeedValues("s", "losses", {0: 1.0, 1: 2.0, 2: 9.0})
    train = SeedValues("s", "losses", {0: 0.5, 1: 1.5})
    found = gap(test, train)
    assert (found.value, found.stderr, found.degrees) == (0.5, 0.0, 1)
    assert math.isnan(gap(None, train).value)


def test_both_splits_stand_beside_each_other(store, synthetic_sweep):
    """Accuracy in per cent, loss as measured, gaps with their errors."""
    synthetic_sweep(pairs=[(100, 0.1)]).fill()
    data = load_sweep(store, "toy")
    table = generalisation_table(data, cell_states(data))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["training accuracy %"] == "95 ± 0"
    assert row["test accuracy %"] == "89.00 ± 0.58"
    assert row["gap %"] == "6.00 ± 0.58"
    assert table.rows[0][-3:] == ("0.1100 ± 0.0058", "0.320 ± 0.012", "0.2100 ± 0.0058")
    assert row["seeds"] == "3/3"


def test_without_losses_there_is_no_table(store, synthetic_sweep):
    """Nothing is made up from the numbers seen while training."""
    synthetic_sweep().plan()
    data = load_sweep(store, "toy")
    assert generalisation_table(data, cell_states(data)) is None


def test_a_missing_split_is_a_dash(store, synthetic_sweep):
    """Losses measured on the training split alone leave the test columns empty."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0])
    sweep._losses = lambda trial: [sweep._row("mean_loss", 0.25)]
    sweep.fill()
    data = load_sweep(store, "toy")
    row = generalisation_table(data, cell_states(data)).rows[0]
    assert row[3:] == ("0/1", "–", "–", "–", "0.25 ± ?", "–", "–")
