"""What would decide a law: the statistics that lack, or how many seeds of each cell, and what they would cost."""

from __future__ import annotations

import json
import math

from analysis.findings.cost import Cost
from analysis.findings.lacking import lacking_statistics, listed, num_measured_seeds
from analysis.findings.league import Standing
from analysis.mathematics.units_to_decide import units_to_decide
from analysis.mathematics.verdict import judge
from analysis.records.cell_states import cell_states
from analysis.records.load import SweepData
from analysis.tables.measured.cost_tables import hours_text
from workers.contract.statistics import StatisticSpec

_MOST_SEEDS = 1000


def what_decides(data: SweepData, item: Standing, paid: Cost) -> str:
    """Say how many seeds would decide a law, were its ratio to stay, and cells to differ by their errors alone.

    Of a law that holds on average and not in every cell it is said instead that they would not help.
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
    ratio = item.judged[0]
    if item.num_against and judge(ratio.value, ratio.value) == "holds":
        cells = "one cell" if item.num_against == 1 else f"{item.num_against} cells"
        return f"more seeds would not make it hold, as in {cells} it fails or has no ratio"
    is_one_cell = item.num_valid == 1
    wanted = units_to_decide(ratio, num_seeds, _MOST_SEEDS, is_spread_of_units=is_one_cell)
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


def missing_side(data: SweepData) -> list[str]:
    """Name the statistics that would tell which law holds, and the command that takes them; nothing where none lacks."""
    lacking = lacking_statistics(data)
    if not lacking and data.measurements["value"].notna().any():
        return []
    names = [_entry(item.statistic) for item in data.plan.statistics]
    wanted = [each.name for each in lacking if not each.is_planned]
    given = f" --set 'measure=[{', '.join([*names, *wanted])}]'" if wanted else ""
    told = [f"The statistic {each.name} measures {listed([each])}." for each in lacking]
    if not wanted and not any(state.num_missing for state in cell_states(data).values()):
        return [" ".join([*told, "Every trial skipped what would decide it."])]
    return [" ".join([*told, f"minima run {data.plan.sweep}{given}"])]


def _entry(statistic: StatisticSpec) -> str:
    """Write a statistic as it stands under `measure`."""
    settings = statistic.non_default()
    settings.pop("name", None)
    written = [f"{key}: {json.dumps(value)}" for key, value in settings.items()]
    name = json.dumps(statistic.name) if ":" in statistic.name else statistic.name
    return f"{{name: {', '.join([name, *written])}}}" if written else name
