"""What is measured of the two sides of a law, and what has to be before any can be held against a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.records.load import SweepData


@dataclass(frozen=True)
class LackingStatistic:
    """A statistic of which the sweep has no number.

    Attributes:
        name: Of the statistic.
        measures: What laws want of it, one by one.
        is_planned: Whether the plan names it, so that it is not done, or was skipped in every trial.
    """

    name: str
    measures: tuple[str, ...]
    is_planned: bool


_WANTED = {
    "traces": (("gradient_noise_trace", "hessian_trace"), ("tr σ²", "tr H")),
    "fork": (("excess_loss",), ("the excess loss",)),
}
"""By statistic its quantities, any of which is enough, whichever statistic measured it."""


def lacking_statistics(data: SweepData) -> list[LackingStatistic]:
    """List those of the two sides of a law that no seed has: what it predicts from, and what it predicts."""
    rows = data.measurements
    measured = set(rows["quantity"][rows["layer"].isna() & rows["value"].notna()])
    planned = {item.statistic.name for item in data.plan.statistics}
    return [
        LackingStatistic(name, measures, name in planned)
        for name, (quantities, measures) in _WANTED.items()
        if measured.isdisjoint(quantities)
    ]


def num_measured_seeds(
    data: SweepData, quantity: str, *, statistic: str | None = None, bn_mode: str | None = None
) -> tuple[int, int]:
    """Count the seeds of a cell that have a number for a quantity: fewest and most, over the cells with any.

    Args:
        data: The sweep's records.
        quantity: Of the whole model.
        statistic: By which; None for any.
        bn_mode: In which; None for any.
    """
    seeds = (
        {
            seed
            for each in its
            if each.quantity == quantity
            and statistic in {None, each.statistic}
            and bn_mode in {None, each.bn_mode}
            for seed in each.seeds.tolist()
        }
        for its in data.whole_model.by_cell.values()
    )
    numbers = [len(found) for found in seeds if found]
    return min(numbers, default=0), max(numbers, default=0)


def listed(lacking: Sequence[LackingStatistic]) -> str:
    """Return what the statistics would measure: "tr σ², tr H and the excess loss"."""
    *others, last = [what for each in lacking for what in each.measures]
    return f"{', '.join(others)} and {last}" if others else last
