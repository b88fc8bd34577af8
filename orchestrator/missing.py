"""Resume is plan minus store: what is done, what is missing, what failed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from workers.contract.plan_document import PlanDocument, PlannedStatistic, PlannedTrial
from workers.contract.store import Store

State = Literal["done", "to_measure", "to_train", "failed"]
WITHOUT_MODEL = frozenset({"diverged", "nonfinite"})


@dataclass(frozen=True)
class Missing:
    """One trial and what of it is not in the store.

    Attributes:
        is_trained: Its record is there, and its kept model wherever a statistic needs it.
        statistics: Those not measured, in the plan's order.
        has_failed: An attempt at any of it has failed before.
    """

    planned: PlannedTrial
    is_trained: bool
    statistics: list[PlannedStatistic]
    has_failed: bool

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


class FailedAttempt(NamedTuple):
    """What of a failure's row decides whether the work was given up; no statistic is training."""

    trial_id: str
    statistic_id: str | None
    attempt_id: str
    failure_class: str
    signature: str


@dataclass(frozen=True)
class StoreState:
    """What the store holds, by identity."""

    outcomes: dict[str, str] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)
    with_model: frozenset[str] = frozenset()
    measured: frozenset[tuple[str, str]] = frozenset()
    failed: frozenset[tuple[str, str | None]] = frozenset()
    failures: tuple[FailedAttempt, ...] = ()


def read_state(store: Store) -> StoreState:
    """Read what is done from the store."""
    trials = store.read("trials").select(["trial_id", "outcome", "wall_seconds"]).to_pylist()
    measurements = store.read("measurements").select(["trial_id", "statistic_id"])
    names = list(FailedAttempt._fields)
    failures = tuple(
        FailedAttempt(**row) for row in store.read("failures").select(names).to_pylist()
    )
    models = (name.rsplit("/", 1)[-1].split(".")[0] for name in store.names("models"))
    return StoreState(
        outcomes={row["trial_id"]: row["outcome"] for row in trials},
        wall_seconds={row["trial_id"]: row["wall_seconds"] for row in trials},
        with_model=frozenset(models),
        measured=frozenset(zip(*measurements.to_pydict().values(), strict=True)),
        failed=frozenset((failure.trial_id, failure.statistic_id) for failure in failures),
        failures=failures,
    )


def missing_of(plan: PlanDocument, state: StoreState) -> list[Missing]:
    """Compare every trial of the plan with the store."""
    return [_compare(planned, plan.statistics, state) for planned in plan.trials]


def _compare(
    planned: PlannedTrial, statistics: list[PlannedStatistic], state: StoreState
) -> Missing:
    name = planned.trial_id
    left = [item for item in statistics if (name, item.statistic_id) not in state.measured]
    outcome = state.outcomes.get(name)
    has_model = name in state.with_model or outcome in WITHOUT_MODEL
    is_trained = outcome is not None and (has_model or not left)
    missing = Missing(planned, is_trained, left, has_failed=False)
    return replace(missing, has_failed=not state.failed.isdisjoint(missing.work))
