"""A resolved plan as it lies in the store: every trial and statistic of one revision of a sweep."""

from __future__ import annotations

from pydantic import JsonValue

from workers.contract.frozen import Frozen
from workers.contract.specs import TrialSpec
from workers.contract.statistics import StatisticSpec


class PlannedTrial(Frozen):
    """One trial of the plan."""

    trial_id: str
    trial: TrialSpec


class PlannedStatistic(Frozen):
    """One statistic to be taken of every trial of the plan."""

    statistic_id: str
    statistic: StatisticSpec


class PlanDocument(Frozen):
    """What a sweep file came to, with every identity.

    Attributes:
        sweep: The sweep's name.
        revision: Sorts by time; a sweep file that changes what is asked for makes a new one.
        planned_at: ISO 8601, UTC.
        spec: The sweep as validated, as JSON.
        seeds: The seeds of every cell.
        trials: In the order of the grid.
        statistics: In the order of `measure`.
    """

    sweep: str
    revision: str
    planned_at: str
    spec: dict[str, JsonValue]
    seeds: list[int]
    trials: list[PlannedTrial]
    statistics: list[PlannedStatistic]
