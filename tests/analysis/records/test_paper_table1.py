from __future__ import annotations

import pytest

from analysis.records.paper_table1 import NUM_TRAIN, ROWS, paper_row


def test_the_printed_columns_fit_each_other():
    """BS/LR is the quotient, and the ratio that of the traces, rounded, except for the erratum."""
    for row in ROWS:
        assert row.batch_size_over_learning_rate == pytest.approx(
            row.batch_size / row.learning_rate
        )
        ratio = row.gradient_noise_trace / row.hessian_trace
        is_truncated = (row.batch_size, row.learning_rate) == (100, 0.5)
        printed = int(ratio * 10) / 10 if is_truncated else round(ratio, 1)
        assert row.magnitude_difference == printed


def test_the_numbering_is_kept_as_printed():
    """Experiment 4 stands twice and 3 is missing."""
    assert [row.experiment for row in ROWS] == [1, 2, 4, 4, 5, 6, 7, 8, 9]


def test_a_cell_finds_its_row():
    """By batch size and learning rate, exactly; no other cell has one."""
    assert paper_row(500, 0.2).hessian_trace == 4_261_116
    assert paper_row(500, 0.21) is None
    assert len({(row.batch_size, row.learning_rate) for row in ROWS}) == 9


def test_per_example_the_hessian_trace_has_a_usual_size():
    """Divided by N the printed tr H lies between 69 and 207, as CIFAR networks have."""
    values = [row.hessian_trace / NUM_TRAIN for row in ROWS]
    assert (min(values), max(values)) == (pytest.approx(69.74, 1e-3), pytest.approx(206.1, 1e-3))
