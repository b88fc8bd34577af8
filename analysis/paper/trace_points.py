"""Both traces of every cell, from a sweep's own Table 1 and from the printed one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.table1 import Table1
from analysis.mathematics.uncertain import Uncertain
from analysis.paper.factors import MAGNITUDE_DIFFERENCE
from analysis.records.paper_table1 import ROWS


@dataclass(frozen=True)
class TracePoint:
    """Both traces of one cell and their ratio tr σ²/tr H."""

    batch_size: int
    learning_rate: float
    gradient_noise_trace: Uncertain
    hessian_trace: Uncertain
    magnitude_difference: Uncertain


def points_of(table: Table1) -> list[TracePoint]:
    """Return the cells of Table 1 in which both traces are measured."""
    return [
        TracePoint(
            row.cell.batch_size,
            row.cell.learning_rate,
            row.gradient_noise_trace,
            row.hessian_trace,
            row.magnitude_difference,
        )
        for row in table.rows
        if row.num_measured
    ]


def paper_points() -> list[TracePoint]:
    """Return the printed Table 1 as if it were exact, since no errors are printed."""
    return [
        TracePoint(
            row.batch_size,
            row.learning_rate,
            Uncertain(row.gradient_noise_trace),
            Uncertain(row.hessian_trace),
            Uncertain(row.gradient_noise_trace / row.hessian_trace),
        )
        for row in ROWS
    ]


def paper_values() -> pd.DataFrame:
    """Return each printed row as a trial: ln m, ln η, ln(tr σ²/tr H), as in `trial_values`."""
    return pd.DataFrame(
        {
            "batch_size": [np.log(row.batch_size) for row in ROWS],
            "learning_rate": [np.log(row.learning_rate) for row in ROWS],
            MAGNITUDE_DIFFERENCE: [
                np.log(row.gradient_noise_trace / row.hessian_trace) for row in ROWS
            ],
        }
    )
