"""Whether a trial fits a node: whole GPUs or one share of one, of the kind asked for, enough CPUs and memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.machine.cores import usable_cpus
from orchestrator.machine.memory import usable_memory_bytes
from orchestrator.planning.accelerators import accelerator_of
from workers.contract.errors import Fault
from workers.contract.sweep_spec import ResourcesSpec
from workers.process.devices import gpu_names

_GIBIBYTE = 2**30


@dataclass(frozen=True)
class Node:
    """A machine as far as scheduling goes; `node_id` is the cluster's own name for it.

    Attributes:
        memory: In bytes, of the host.
        accelerators: Kinds of its GPUs by Ray's names; none where it knows none.
    """

    name: str
    cpus: int
    gpus: int
    node_id: str = ""
    memory: int = 0
    accelerators: tuple[str, ...] = ()

    def slots_for(self, demand: ResourcesSpec) -> int:
        """Count the trials of this demand that fit the node at once."""
        if demand.accelerator is not None and demand.accelerator not in self.accelerators:
            return 0
        counts = [
            self.slots_by_cpus(demand),
            self.slots_by_gpus(demand),
            self.slots_by_memory(demand),
        ]
        return min(count for count in counts if count is not None)

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

    def slots_by_memory(self, demand: ResourcesSpec) -> int | None:
        """Count the trials that its memory is enough for; None where a trial asks for none."""
        return self.memory // demand.memory if demand.memory else None


def this_machine() -> Node:
    """Describe this machine without starting anything."""
    models = gpu_names()
    gpus = _num_visible(len(models))
    kinds = tuple(accelerator_of(model) for model in models[: min(gpus, 1)])  # as Ray has it
    return Node("this machine", usable_cpus(), gpus, "", usable_memory_bytes(), kinds)


def one_device(
    nodes: Sequence[Node],
    devices: Mapping[str, str],
    demand: ResourcesSpec,
    recorded: Mapping[str, int],
) -> str | None:
    """Choose the model of device that trials of a sweep are kept to: bits differ between models.

    Args:
        nodes: Of the cluster.
        devices: What trials would run on, by the node's id; a node that has not told is in none.
        demand: Of a trial.
        recorded: How many trials of the sweep are recorded, by model.

    Returns:
        Of the models that could hold a trial that of most recorded trials, then of most room; None where
        there is none, or the sweep may mix them.
    """
    room = Counter[str]()
    for node in nodes:
        if node.node_id in devices and (slots := node.slots_for(demand)):
            room[devices[node.node_id]] += slots
    if demand.mixed_devices or not room:
        return None
    return max(sorted(room), key=lambda model: (recorded.get(model, 0), room[model]))


def fit_faults(demand: ResourcesSpec, nodes: Sequence[Node], cure: str) -> list[Fault]:
    """Return the fault of a trial that no node can ever hold, with a table of the nodes."""
    if any(node.slots_for(demand) for node in nodes):
        return []
    from analysis.text.text_table import TextTable, render  # once the command knows that it is ours

    title = f"a trial wants {demand_text(demand)}, and no node has them"
    wanted = {"CPUs": str(demand.cpus), "GPUs": f"{demand.gpus:g}"}
    wanted |= {"memory": size_text(demand.memory), "kind": demand.accelerator or ""}
    rows = [node_texts(node, demand) | _enough_for(node, demand) for node in nodes]
    columns = list(rows[0])
    cells = [("a trial", *(wanted.get(column, "") for column in columns))]
    cells += [(node.name, *row.values()) for node, row in zip(nodes, rows, strict=True)]
    table = TextTable(title, ("", *columns), tuple(cells), num_left=1)
    return [Fault(render(table).replace("\n", "\n  "), "resources", cure)]


def demand_text(demand: ResourcesSpec) -> str:
    """Describe what a trial holds in words."""
    of_kind = f" of kind {demand.accelerator}" if demand.accelerator else ""
    texts = [f"{demand.cpus} CPUs", f"{demand.gpus:g} GPUs{of_kind}"]
    if demand.memory:
        texts.append(f"{size_text(demand.memory)} of memory")
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def size_text(num_bytes: int) -> str:
    """Format a size of memory."""
    from analysis.text.number_text import plain  # as above

    return f"{plain(num_bytes / _GIBIBYTE, 3)} GiB"


def node_texts(node: Node, demand: ResourcesSpec) -> dict[str, str]:
    """Return what a node has by column; memory and kind of its GPUs where the trial asks for them."""
    texts = {"CPUs": str(node.cpus), "GPUs": str(node.gpus)}
    if demand.accelerator is not None:
        texts["kind"] = ", ".join(node.accelerators) or "unknown"
    if demand.memory:
        texts["memory"] = size_text(node.memory)
    return texts


def _enough_for(node: Node, demand: ResourcesSpec) -> dict[str, str]:
    by_gpus, by_memory = node.slots_by_gpus(demand), node.slots_by_memory(demand)
    texts = {
        "trials by CPUs": str(node.slots_by_cpus(demand)),
        "trials by GPUs": "any" if by_gpus is None else str(by_gpus),
    }
    return texts if by_memory is None else texts | {"trials by memory": str(by_memory)}


def _num_visible(present: int) -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    named = [device for device in visible.split(",") if device.strip() not in {"", "-1"}]
    return min(present, len(named))
