"""Resume is plan minus store: what of each planned trial is done, missing or failed. All readers ask here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from workers.contract.failure_classes import WorkName
from workers.contract.plan_document import PlanDocument, PlannedStatistic
from workers.contract.planned_trials import PlannedTrial
from workers.contract.records import Outcome

TrialState = Literal["done", "to_measure", "to_train", "failed"]

OUTCOMES_WITHOUT_MINIMUM: frozenset[Outcome] = frozenset({"diverged", "nonfinite"})
"""Outcomes of a trial whose training ended at no minimum: there is no network to be measured."""


@dataclass(frozen=True)
class Facts:
    """What a store holds, by identity.

    Attributes:
        outcomes: How training ended, by trial.
        with_model: Trials whose trained network is kept.
        measured: Committed statistics: trial_id, statistic_id.
        given_up: Work that failed as often as it is tried: trial_id, statistic_id or None for training.
    """

    outcomes: Mapping[str, str] = field(default_factory=dict)
    with_model: Collection[str] = frozenset()
    measured: Collection[tuple[str, str]] = frozenset()
    given_up: Collection[WorkName] = frozenset()


@dataclass(frozen=True)
class Missing:
    """One planned trial and what of it is not in the store.

    Attributes:
        is_trained: Its record is there, and its kept model wherever a statistic still needs it.
        statistics: Those not measured, in the plan's order.
        is_given_up: Any of what is missing failed as often as it is tried; another run tries it again.
        earlier: Names of statistics that only an earlier numerics version measured.
    """

    planned: PlannedTrial
    is_trained: bool
    statistics: list[PlannedStatistic]
    is_given_up: bool
    earlier: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing is missing."""
        return self.is_trained and not self.statistics

    @property
    def work(self) -> list[WorkName]:
        """What is missing, as view `failures` names it: trial, and statistic or None to train."""
        names: list[str | None] = [] if self.is_trained else [None]
        names += [item.statistic_id for item in self.statistics]
        return [(self.planned.trial_id, name) for name in names]

    @property
    def lacks(self) -> tuple[str, ...]:
        """What is missing, by name: `training`, then statistics."""
        training = () if self.is_trained else ("training",)
        return (*training, *(item.statistic.name for item in self.statistics))

    @property
    def state(self) -> TrialState:
        """The trial's state in one word."""
        if self.is_done:
            return "done"
        if self.is_given_up:
            return "failed"
        return "to_measure" if self.is_trained else "to_train"


def lacking(plan: PlanDocument, facts: Facts) -> list[Missing]:
    """Compare every trial of a plan with the facts, in the plan's order."""
    asked = {seed: plan.statistics_of(seed) for seed in {each.trial.seed for each in plan.trials}}
    return [_compare(planned, asked[planned.trial.seed], facts) for planned in plan.trials]


def is_trained(outcome: str | None, *, has_model: bool, is_needed: bool) -> bool:
    """Whether a trial need not be trained, or trained again for its lost model.

    Args:
        outcome: Of its record; None when there is none.
        has_model: The trained network is kept.
        is_needed: A statistic is still to be taken of it.
    """
    if outcome is None:
        return False
    return has_model or not is_needed or outcome in OUTCOMES_WITHOUT_MINIMUM


def _compare(planned: PlannedTrial, statistics: list[PlannedStatistic], facts: Facts) -> Missing:
    name = planned.trial_id
    left, earlier = list[PlannedStatistic](), list[str]()
    for item in statistics:
        accepted = (each for each in item.accepted_ids if (name, each) in facts.measured)
        counts = next(accepted, None)  # the first accepted identity, whose record counts
        if counts is None:
            left.append(item)
        elif counts != item.statistic_id:
            earlier.append(item.statistic.name)
    outcome, has_model = facts.outcomes.get(name), name in facts.with_model
    trained = is_trained(outcome, has_model=has_model, is_needed=bool(left))
    missing = Missing(planned, trained, left, is_given_up=False, earlier=tuple(earlier))
    is_given_up = any(work in facts.given_up for work in missing.work)
    return replace(missing, is_given_up=True) if is_given_up else missing
