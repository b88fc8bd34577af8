"""A slot as Ray Tune sees it."""

from __future__ import annotations

import functools
import os

from ray import tune

from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotTask
from workers.contract.sweep_spec import ResourcesSpec


class TrialSlot(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """A slot as Tune sees it: one step does the whole task."""

    @classmethod
    def default_resource_request(cls, config: dict[str, str]) -> tune.PlacementGroupFactory:
        """Ask for what the task needs."""
        return _room_for(SlotTask.model_validate_json(config["task"]).demand)

    def setup(self, config: dict[str, str]) -> None:  # noqa: ARG002  # Tune's signature
        """Make the slot; its fork server starts with the first task."""
        self._slot = Slot()

    def step(self) -> dict[str, object]:
        """Do the task of the current trial."""
        task = SlotTask.model_validate_json(self.config["task"])
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "") if task.device_share else "-1"
        return {"done": True, "result": self._slot.run(task, devices).model_dump_json()}

    def reset_config(self, new_config: dict[str, str]) -> bool:  # noqa: ARG002  # Tune's signature
        """Take the next task in the same process."""
        return True

    def cleanup(self) -> None:
        """End the fork server."""
        self._slot.close()


@functools.cache  # Tune compares them for each trial at each step, which equal objects make slow
def _room_for(demand: ResourcesSpec) -> tune.PlacementGroupFactory:
    gpus = {"GPU": demand.gpus} if demand.gpus else {}
    return tune.PlacementGroupFactory([{"CPU": float(demand.cpus)} | gpus])
