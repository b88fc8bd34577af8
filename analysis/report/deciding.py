"""What would decide a law that is undecided: how many seeds of each cell, and what they would cost."""

from __future__ import annotations

import math

from analysis.findings.cost import cost
from analysis.findings.lacking import num_measured_seeds
from analysis.findings.league import Standing
from analysis.mathematics.interval import growth_to_decide
from analysis.records.load import SweepData
from analysis.tables.measured.cost_tables import hours_text

_MOST_SEEDS = 1000


def what_decides(data: SweepData, item: Standing) -> str:
    """Say how many seeds would decide a law; empty where it is decided, or where nothing is known of it.

    So it is of a law whose assumptions no cell meets: more seeds mend none of them. The ratio is taken to stay where it is, and cells to differ by their errors alone.
    """
    growth = growth_to_decide(item.judged[0])
    num_seeds = num_measured_seeds(data, item.target)
    is_open = item.told == "undecided" and item.num_valid > 0
    if not is_open or not growth > 1 or not num_seeds:
        return ""
    if growth * num_seeds > _MOST_SEEDS:
        return "so near the edge of ± 10 % that no number of seeds at hand would decide it"
    wanted = math.ceil(growth * num_seeds)
    hours = item.num_valid * _core_hours_a_cell(data, num_seeds, wanted)
    price = f" ({hours_text(hours)} core-hours)" if math.isfinite(hours) else ""
    return (
        f"if it stays and cells differ by errors alone, {wanted} seeds each would decide it{price}"
    )


def _core_hours_a_cell(data: SweepData, num_seeds: int, wanted: int) -> float:
    """Price further seeds of a cell as those on record: all are measured, those not trained yet trained.

    NaN where the time of a statistic is not on record.
    """
    paid = cost(data)
    num_trials = max(paid.training.num_trials, 1)
    num_trained = num_trials / len(data.cells)
    training = paid.training.core_hours / num_trials
    measuring = math.fsum(work.core_hours / work.num_trials for work in paid.measuring)
    return measuring * (wanted - num_seeds) + training * max(0.0, wanted - num_trained)
