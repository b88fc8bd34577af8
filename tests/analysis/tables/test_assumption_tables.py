from __future__ import annotations

import pandas as pd
import pytest

from analysis.evidence.covariance import covariances
from analysis.records.load import load_sweep
from analysis.tables.assumption_tables import covariance_table, validity_tables


@pytest.fixture
def validity():
    """Make view `validity` of (statistic_id, batch size, seed, test, value, passes)."""

    def make(rows):
        names = ["statistic_id", "batch_size", "seed", "test", "value", "passes"]
        fixed = {
            "learning_rate": 0.1, "learning_rate_used": 0.01, "bn_mode": "frozen",
            "sampler": "replacement",
        }  # fmt: skip
        frame = pd.DataFrame(rows, columns=names).assign(**fixed)
        return frame.assign(meaning=frame["test"] + " means this")

    return make


def test_every_test_stands_in_every_cell(validity):
    """Median over seeds, seeds that pass, ? where one is undecided, a dash where there is none."""
    frame = validity(
        [
            ("s", 100, 0, "harmonicity", 1.0, True),
            ("s", 100, 1, "harmonicity", 1.2, False),
            ("s", 100, 2, "harmonicity", 1.1, None),
            ("s", 200, 0, "harmonicity", 0.98, True),
            ("s", 100, 0, "discrete_step", 0.5, True),
        ]
    )
    (table,) = validity_tables(frame, {"s": "fork"})
    assert table.title == "Assumptions · fork, batch norm frozen, sampler replacement"
    assert table.columns == ("test", "100, 0.1", "200, 0.1")
    assert table.rows == (
        ("harmonicity", "1.1 (1/3 ?)", "0.98 (1/1)"),
        ("discrete_step", "0.5 (1/1)", "–"),
    )
    assert "harmonicity: harmonicity means this." in table.notes


def test_each_excursion_has_its_table(validity):
    """Forks and tails apart; what was tested before any excursion is shown too."""
    frame = validity(
        [
            ("s", 100, 0, "harmonicity", 1.0, True),
            ("t", 100, 0, "stationarity", 0.0, True),
            (None, 100, 0, "noise_over_curvature", 0.1, False),
        ]
    )
    titles = [table.title for table in validity_tables(frame, {"s": "fork", "t": "tail"})]
    assert [title.split(",")[0] for title in titles] == [
        "Assumptions · fork", "Assumptions · tail", "Assumptions · before any excursion"
    ]  # fmt: skip
    assert validity_tables(validity([]), {}) == []


def test_the_covariance_stands_beside_both_laws(store, forked_sweep):
    """One row a cell and fork; without forks no table."""
    forked_sweep(power=1.5, pairs=[(50, 0.1)], seeds=[0]).fill()
    table = covariance_table(covariances(load_sweep(store, "toy")))
    (row,) = table.rows
    assert row[:7] == ("50", "0.1", "0.01", "frozen", "1 × 8", "1.00 [1.00, 1.00]", "holds")
    assert row[9].startswith("1.50 [")
    assert covariance_table([]) is None
