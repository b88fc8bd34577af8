"""The missing work of one trial as a slot receives it, and what the slot answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from workers.contract.catalog import is_plugin
from workers.contract.errors import StoreError
from workers.contract.frozen import Count, Frozen, Positive
from workers.contract.plan_document import PlannedStatistic
from workers.contract.planned_trials import PlannedTrial
from workers.contract.store import Store
from workers.contract.sweep_spec import ResourcesSpec

Status = Literal["done", "elsewhere", "larger_share", "failed", "drained"]


class SlotTask(Frozen):
    """The missing work of one trial, and how to do it; travels to a slot as JSON.

    Attributes:
        sweep: For the heartbeat, and with `run_id` for the stop marker.
        planned: The trial.
        is_trained: Whether it is trained already.
        statistics: Those not measured yet.
        hang_seconds: An attempt without progress for this long is ended.
        entry: The module whose `run_child` runs an attempt.
        earlier_failures: Attempts that failed before this run, which no longer count.
        presumed_dead: Attempts of other runs, silent for too long to be waited for.
        memory: Of the host, in bytes, which a slot must hold; 0 for none in particular.
        accelerator: The kind of GPUs by Ray's name; None for any.
        num_smaller_shares: Shares of a GPU tried before `device_share` that were too small.
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
    earlier_failures: list[str] = Field(default_factory=list)
    presumed_dead: list[str] = Field(default_factory=list)
    num_smaller_shares: int = 0
    memory: int = 0
    accelerator: str | None = None

    @property
    def trial_id(self) -> str:
        """The trial's identity."""
        return self.planned.trial_id

    @property
    def is_right_with_onednn(self) -> bool:
        """Whether oneDNN may be turned on where TensorFlow leaves it off, which no trial on a GPU needs."""
        return not self.device_share and self.planned.trial.is_right_with_onednn

    @property
    def demand(self) -> ResourcesSpec:
        """The resources that a slot must hold."""
        return ResourcesSpec(
            gpus=self.device_share,
            cpus=self.num_threads,
            memory=self.memory,
            accelerator=self.accelerator,
        )


class SlotResult(Frozen):
    """The outcome of the work of one trial.

    Attributes:
        status: "done"; "failed": something was given up; "elsewhere": another run does it;
            "larger_share": it needs more of a GPU; "drained": it was asked to stop.
        num_attempts: Children that were started.
        num_failures: Those of them that failed.
    """

    trial_id: str
    status: Status
    num_attempts: int
    num_failures: int


@dataclass(frozen=True)
class Work:
    """One thing to do: train, or take one statistic.

    Attributes:
        task: The trial's.
        statistic: None to train.
        is_repeated: Whether it is done although committed, as the model it left behind is gone.
    """

    task: SlotTask
    statistic: PlannedStatistic | None
    is_repeated: bool = False

    @property
    def trial_id(self) -> str:
        """The trial's identity."""
        return self.task.trial_id

    @property
    def statistic_id(self) -> str | None:
        """The statistic's identity; None to train."""
        return self.statistic.statistic_id if self.statistic else None

    @property
    def shares_process(self) -> bool:
        """Whether a process that is done with it may do more, and one that has done other work may do it.

        What a user's own code leaves behind in a process, and the memory of a GPU that it holds, end with it.
        """
        is_own = self.statistic is not None and is_plugin(self.statistic.statistic.name)
        has_own_code = is_own or bool(self.task.planned.trial.plugin_digests)
        return not has_own_code and not self.task.device_share


def is_stop_asked(store: Store, task: SlotTask) -> bool:
    """Return whether this run was asked to drain; False while the store is unreachable."""
    try:
        return store.read_bytes(Store.stop_path(task.sweep, task.run_id)) is not None
    except StoreError:
        return False
