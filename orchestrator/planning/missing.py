"""Resume is plan minus store: what is done, what is missing, what failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.planning.store_state import FailedAttempt, StoreState, read_state
from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial

__all__ = ["FailedAttempt", "Missing", "StoreState", "missing_of", "read_state"]

State = Literal["done", "to_measure", "to_train", "failed"]
WITHOUT_MODEL = frozenset({"diverged", "nonfinite"})


@dataclass(frozen=True)
class Missing:
    """One trial and what of it is not in the store.

    Attributes:
        is_trained: Its record is there, and its kept model wherever a statistic needs it.
        statistics: Those not measured, in the plan's order.
        has_failed: An attempt at any of it has failed before.
        earlier: Statistics that only an earlier numerics version measured.
    """

    planned: PlannedTrial
    is_trained: bool
    statistics: list[PlannedStatistic]
    has_failed: bool
    earlier: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Nothing is missing."""
        return self.is_trained and not self.statistics

    @property
    def work(self) -> list[tuple[str, str | None]]:
        """What is missing, as the `failures` view names it: trial, and statistic or None to train."""
        names: list[str | None] = [] if self.is_trained else [None]
        names += [item.statistic_id for item in self.statistics]
        return [(self.planned.trial_id, name) for name in names]

    @property
    def state(self) -> State:
        """The trial's state in one word."""
        if self.is_done:
            return "done"
        if self.has_failed:
            return "failed"
        return "to_measure" if self.is_trained else "to_train"


def missing_of(plan: PlanDocument, state: StoreState) -> list[Missing]:
    """Compare every trial of the plan with the store."""
    return [_compare(planned, plan.statistics, state) for planned in plan.trials]


def _compare(
    planned: PlannedTrial, statistics: list[PlannedStatistic], state: StoreState
) -> Missing:
    name = planned.trial_id
    measured = {  # by the first accepted identity, whose record counts
        item.statistic_id: next(
            (each for each in item.accepted_ids if (name, each) in state.measured), None
        )
        for item in statistics
    }
    left = [item for item in statistics if measured[item.statistic_id] is None]
    earlier = tuple(
        item.statistic.name
        for item in statistics
        if measured[item.statistic_id] not in {None, item.statistic_id}
    )
    outcome = state.outcomes.get(name)
    has_model = name in state.with_model or outcome in WITHOUT_MODEL
    is_trained = outcome is not None and (has_model or not left)
    missing = Missing(planned, is_trained, left, has_failed=False, earlier=earlier)
    return replace(missing, has_failed=not state.failed.isdisjoint(missing.work))
