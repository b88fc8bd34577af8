"""The missing work of one trial as a slot is told it, and what the slot answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workers.contract.errors import StoreError
from workers.contract.frozen import Count, Frozen, Positive
from workers.contract.plan_document import PlannedStatistic, PlannedTrial
from workers.contract.store import Store

Status = Literal["done", "failed", "drained"]


class SlotTask(Frozen):
    """The missing work of one trial, and how to do it; travels to a slot as JSON.

    Attributes:
        sweep: For the heartbeat, and with `run_id` for the stop marker.
        planned: The trial.
        is_trained: It needs no training.
        statistics: What is not measured yet.
        hang_seconds: An attempt without progress for this long is ended.
        entry: The module whose `run_child` does an attempt.
    """

    sweep: str
    run_id: str
    planned: PlannedTrial
    is_trained: bool
    statistics: list[PlannedStatistic]
    store: str
    data_dir: str | None
    num_threads: Count
    device_share: float
    checkpoint_seconds: Positive = 60.0
    hang_seconds: Positive = 1800.0
    entry: str = "workers.trial"


class SlotResult(Frozen):
    """How the work of one trial ended."""

    trial_id: str
    status: Status
    num_attempts: int
    num_failures: int


@dataclass(frozen=True)
class Work:
    """One thing to do: train, or take one statistic."""

    task: SlotTask
    statistic: PlannedStatistic | None

    @property
    def trial_id(self) -> str:
        """The trial's identity."""
        return self.task.planned.trial_id


def is_stop_asked(store: Store, task: SlotTask) -> bool:
    """Say whether this run was asked to drain; a store that is away for a moment has not asked."""
    try:
        return store.read_bytes(Store.stop_path(task.sweep, task.run_id)) is not None
    except StoreError:
        return False
