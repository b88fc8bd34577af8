"""Whether a trial fits a node: whole GPUs or one share of one, and enough CPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.contract.errors import Fault
from workers.contract.sweep_spec import ResourcesSpec


@dataclass(frozen=True)
class Node:
    """A machine as far as scheduling goes."""

    name: str
    cpus: int
    gpus: int

    def slots_for(self, demand: ResourcesSpec) -> int:
        """Count the trials of this demand that fit the node at once."""
        by_cpus = self.cpus // demand.cpus
        if demand.gpus == 0:
            return by_cpus
        by_gpus = (
            int(self.gpus / demand.gpus + 1e-9)
            if demand.gpus >= 1
            else self.gpus * round(1 / demand.gpus)
        )
        return min(by_cpus, by_gpus)


def this_machine() -> Node:
    """Describe this machine without starting anything."""
    return Node("this machine", os.cpu_count() or 1, _count_gpus())


def fit_faults(demand: ResourcesSpec, nodes: Sequence[Node], cure: str) -> list[Fault]:
    """Give the fault of a trial that no node can ever hold, with a table of the nodes."""
    if any(node.slots_for(demand) for node in nodes):
        return []
    table = "; ".join(f"{node.name}: {node.cpus} CPUs, {node.gpus} GPUs" for node in nodes)
    return [
        Fault(
            f"a trial wants {demand.cpus} CPUs and {demand.gpus:g} GPUs, and no node has them ({table})",
            "resources",
            cure,
        )
    ]


def _count_gpus() -> int:
    folder = Path("/proc/driver/nvidia/gpus")
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    named = [device for device in visible.split(",") if device.strip() not in {"", "-1"}]
    return min(present, len(named))
