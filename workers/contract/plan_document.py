"""A sweep's resolved plan as the store keeps it: which trials and statistics were asked for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue, field_validator

from workers.contract.frozen import Frozen, Seed, refuse_repeats
from workers.contract.planned_trials import FileName, PlannedTrial, StoredTrials
from workers.contract.statistics import StatisticSpec
from workers.contract.sweep_spec import ResourcesSpec


class PlannedStatistic(Frozen):
    """A statistic of the plan with its identity, in the order listed under `measure`.

    Attributes:
        statistic_id: What is measured gets this identity.
        statistic: Its name and settings.
        earlier_ids: Identities under earlier numerics versions, the latest first: records under them
            count as well. Empty when everything is to be measured anew.
    """

    statistic_id: FileName
    statistic: StatisticSpec
    earlier_ids: list[FileName] = Field(default=[])

    @property
    def accepted_ids(self) -> list[str]:
        """Identities whose records stand for the statistic, the best first."""
        return [self.statistic_id, *self.earlier_ids]


class PlanDocument(Frozen):
    """One revision of a sweep's plan, a JSON document at `Store.plan_path(sweep, revision)`.

    Attributes:
        sweep: The sweep's name.
        revision: Names sort in the order they were made, whatever the clocks, so the last one is current.
        planned_at: ISO 8601, UTC.
        spec: The resolved sweep, as written in YAML with every default filled in.
        trials: Every cell's trials, one a seed; in JSON as blocks of alike ones, earlier one by one.
        statistics: What trials are measured for; one with `seeds` those of so many seeds, the first ones, alone.
        seeds: The seeds of every cell.
    """

    sweep: FileName
    revision: FileName
    planned_at: str
    spec: dict[str, JsonValue]
    trials: Annotated[StoredTrials, Field(min_length=1)]
    statistics: list[PlannedStatistic]
    seeds: list[Seed]

    def statistics_of(self, seed: int) -> list[PlannedStatistic]:
        """Return what trials of a seed are measured for."""
        return [
            item
            for item in self.statistics
            if item.statistic.seeds is None or seed in self.seeds[: item.statistic.seeds]
        ]

    @field_validator("planned_at")
    @classmethod
    def _is_time(cls, planned_at: str) -> str:
        if planned_at:
            datetime.fromisoformat(planned_at)  # a ValueError says what it is not
        return planned_at

    @field_validator("spec")
    @classmethod
    def _can_be_written(cls, spec: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(spec, ensure_ascii=False).encode()  # a ValueError where a text is no Unicode
        ResourcesSpec.model_validate(spec.get("resources", {}))
        return spec

    @field_validator("trials")
    @classmethod
    def _trials_differ(cls, trials: list[PlannedTrial]) -> list[PlannedTrial]:
        refuse_repeats("trials", [item.trial_id for item in trials])
        return trials
