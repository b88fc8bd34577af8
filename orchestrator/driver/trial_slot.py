"""A slot as Ray Tune sees it."""

from __future__ import annotations

import functools
import os
import time

import ray
from ray import tune
from ray._private.state import state as ray_state
from ray.util.placement_group import NODE_ID_LABEL_KEY

from orchestrator.driver.cluster import ACCELERATOR_PREFIX
from orchestrator.slots.leaving import NodeLeaves, Notice, failure_of_notice
from orchestrator.slots.other_code import refusal_of
from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotTask
from workers.contract.sweep_spec import ResourcesSpec

_REFUSAL_SECONDS = 30.0
_ANY_OF_A_KIND = 0.001
"""Of the 1 that a node has of `accelerator_type:H100`, whatever its number of GPUs; Ray itself asks for as much."""


class TrialSlot(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """A slot as Tune sees it: one step does the whole task."""

    @classmethod
    def default_resource_request(cls, config: dict[str, str]) -> tune.PlacementGroupFactory:
        """Ask for what the task needs."""
        demand = SlotTask.model_validate_json(config["task"]).demand
        return _room_for(demand, config["shunned"])

    def setup(self, config: dict[str, str]) -> None:  # noqa: ARG002  # Tune's signature
        """Make the slot; its fork server starts with the first task."""
        self._notice = Notice(_is_draining)
        self._slot = Slot(self._notice.is_given)
        self._has_refused = False

    def step(self) -> dict[str, object]:
        """Do the task of the current trial, unless the driver runs other code, whose tasks may read otherwise.

        Raises:
            NodeLeaves: The task is not done, as this node is to end.
        """
        if (refusal := refusal_of(self.config["code_digest"])) is not None:
            return {"done": True, "refusal": refusal, "node_id": self._refused_by()}
        task = SlotTask.model_validate_json(self.config["task"])
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "") if task.device_share else "-1"
        result = self._slot.run(task, devices)
        if result.status == "drained" and self._notice.is_given():
            raise NodeLeaves(failure_of_notice().message)
        return {"done": True, "result": result.model_dump_json()}

    def _refused_by(self) -> str:
        """Return the name of this node; a slot that refuses in no time must not take what others wait to do."""
        if self._has_refused:
            time.sleep(_REFUSAL_SECONDS)
        self._has_refused = True
        return _own_node()

    def reset_config(self, new_config: dict[str, str]) -> bool:  # noqa: ARG002  # Tune's signature
        """Take the next task in the same process."""
        return True

    def cleanup(self) -> None:
        """End the fork server."""
        self._notice.close()
        self._slot.close()


def _own_node() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _is_draining() -> bool:
    """Whether Ray was told that this node is to end: by a cloud's notice, `ray drain-node` or SIGTERM."""
    return _own_node() in ray_state.get_draining_nodes()


@functools.cache  # Tune compares them for each trial at each step, which equal objects make slow
def _room_for(demand: ResourcesSpec, shunned: str) -> tune.PlacementGroupFactory:
    bundle = {"CPU": float(demand.cpus), "GPU": demand.gpus, "memory": float(demand.memory)}
    if demand.accelerator is not None:
        bundle[f"{ACCELERATOR_PREFIX}{demand.accelerator}"] = _ANY_OF_A_KIND
    bundles = [{name: amount for name, amount in bundle.items() if amount}]
    if not shunned:
        return tune.PlacementGroupFactory(bundles)
    elsewhere = {NODE_ID_LABEL_KEY: f"!in({','.join(shunned.split())})"}
    return tune.PlacementGroupFactory(bundles, bundle_label_selector=[elsewhere])
