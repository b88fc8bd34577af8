"""What would decide a law that is undecided: how many seeds of each cell, and what they would cost."""

from __future__ import annotations

import math

from analysis.findings.cost import Cost
from analysis.findings.lacking import num_measured_seeds
from analysis.findings.league import Standing
from analysis.mathematics.units_to_decide import units_to_decide
from analysis.records.load import SweepData
from analysis.tables.measured.cost_tables import hours_text

_MOST_SEEDS = 1000


def what_decides(data: SweepData, item: Standing, paid: Cost) -> str:
    """Say how many seeds would decide a law, were its ratio to stay, and cells to differ by their errors alone.

    Empty where it is decided, where nothing is known of it, and where no cell meets its assumptions, which
    more seeds do not mend.

    Args:
        data: The sweep's records.
        item: The law's standing.
        paid: What the records cost, by which further seeds are priced.
    """
    _, num_seeds = seeds_behind(data, item)
    if item.told != "undecided" or not item.num_valid or not num_seeds:
        return ""
    is_one_cell = item.num_valid == 1
    wanted = units_to_decide(item.judged[0], num_seeds, _MOST_SEEDS, is_spread_of_units=is_one_cell)
    if math.isinf(wanted):
        return "so near the edge of ± 10 % that no number of seeds at hand would decide it"
    if not wanted > num_seeds:
        return ""
    hours = item.num_valid * _core_hours_a_cell(paid, len(data.cells), num_seeds, int(wanted))
    price = f" ({hours_text(hours)} core-hours)" if math.isfinite(hours) else ""
    if is_one_cell:
        return f"if it and the spread of its seeds stay, {wanted} seeds would decide it{price}"
    return (
        f"if it stays and cells differ by errors alone, {wanted} seeds each would decide it{price}"
    )


def seeds_behind(data: SweepData, item: Standing) -> tuple[int, int]:
    """Count the seeds of a cell that a standing rests on: fewest and most, over its cells."""
    return num_measured_seeds(data, item.target, statistic=item.measured_by, bn_mode=item.bn_mode)


def _core_hours_a_cell(paid: Cost, num_cells: int, num_seeds: int, wanted: int) -> float:
    """Price further seeds of a cell as those on record: all are measured, those not trained yet trained.

    NaN where the time of a statistic is not on record.
    """
    num_trials = max(paid.training.num_trials, 1)
    training = paid.training.core_hours / num_trials
    measuring = math.fsum(work.core_hours / work.num_trials for work in paid.measuring)
    return measuring * (wanted - num_seeds) + training * max(0.0, wanted - num_trials / num_cells)
