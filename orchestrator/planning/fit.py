"""Whether a trial fits a node: whole GPUs or one share of one, and enough CPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.machine.cores import usable_cores
from workers.contract.errors import Fault
from workers.contract.sweep_spec import ResourcesSpec

_COLUMNS = ("", "CPUs", "GPUs", "trials by CPUs", "trials by GPUs")


@dataclass(frozen=True)
class Node:
    """A machine as far as scheduling goes; `node_id` is the cluster's own name for it."""

    name: str
    cpus: int
    gpus: int
    node_id: str = ""

    def slots_for(self, demand: ResourcesSpec) -> int:
        """Count the trials of this demand that fit the node at once."""
        by_cpus, by_gpus = self.slots_by_cpus(demand), self.slots_by_gpus(demand)
        return by_cpus if by_gpus is None else min(by_cpus, by_gpus)

    def slots_by_cpus(self, demand: ResourcesSpec) -> int:
        """Count the trials that its CPUs are enough for."""
        return self.cpus // demand.cpus

    def slots_by_gpus(self, demand: ResourcesSpec) -> int | None:
        """Count the trials that its GPUs are enough for; None where a trial wants none."""
        if demand.gpus == 0:
            return None
        if demand.gpus >= 1:
            return int(self.gpus / demand.gpus + 1e-9)
        return self.gpus * round(1 / demand.gpus)


def this_machine() -> Node:
    """Describe this machine without starting anything."""
    return Node("this machine", _count_cpus(), _count_gpus())


def fit_faults(demand: ResourcesSpec, nodes: Sequence[Node], cure: str) -> list[Fault]:
    """Return the fault of a trial that no node can ever hold, with a table of the nodes."""
    if any(node.slots_for(demand) for node in nodes):
        return []
    from analysis.text.text_table import TextTable, render  # once the command knows that it is ours

    title = f"a trial wants {demand.cpus} CPUs and {demand.gpus:g} GPUs, and no node has them"
    wanted = ("a trial", str(demand.cpus), f"{demand.gpus:g}", "", "")
    rows = (wanted, *(_row(node, demand) for node in nodes))
    table = TextTable(title, _COLUMNS, rows, num_left=1)
    return [Fault(render(table).replace("\n", "\n  "), "resources", cure)]


def _row(node: Node, demand: ResourcesSpec) -> tuple[str, ...]:
    by_gpus = node.slots_by_gpus(demand)
    counts = (
        node.cpus,
        node.gpus,
        node.slots_by_cpus(demand),
        "any" if by_gpus is None else by_gpus,
    )
    return (node.name, *(str(count) for count in counts))


def _count_cpus() -> int:
    """Count the CPUs this process may use, which a batch system may have made fewer than there are."""
    return len(usable_cores()) or os.cpu_count() or 1


def _count_gpus() -> int:
    folder = Path("/proc/driver/nvidia/gpus")
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    named = [device for device in visible.split(",") if device.strip() not in {"", "-1"}]
    return min(present, len(named))
