"""Which nodes of a cluster trials are given to.

On one that is still growing a run waits until so many can hold a trial; on one of different devices a sweep is kept
to one model of them, as bits differ between models. A node that joins later is not asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError
from rich.console import Console

from orchestrator.machine.scratch import scratch_folder
from orchestrator.planning.fit import Node, one_device
from orchestrator.planning.prepare import Prepared
from orchestrator.running.driver import Ask, ClusterLost, HeadWatch, MakeDriver, Reply
from orchestrator.running.preflight import places_of
from workers.contract.errors import user_error
from workers.contract.sweep_spec import ResourcesSpec
from workers.process.devices import DeviceNames, device_names

_LOOK_SECONDS = 2.0


def wait_for_nodes(
    num_wanted: int,
    demand: ResourcesSpec,
    head: HeadWatch,
    console: Console,
    *,
    seconds: float | None = None,
    is_over_time: Callable[[], bool] = lambda: False,
) -> Sequence[Node]:
    """Wait until enough nodes are there; how many there are is told whenever that changes.

    Args:
        num_wanted: Of nodes that can hold a trial.
        demand: Of a trial.
        head: Of the joined cluster.
        console: For what is told.
        seconds: After this long it is waited no more; None for never.
        is_over_time: Whether to wait no more, as the run's own time is over.

    Returns:
        All nodes of the cluster.

    Raises:
        ClusterLost: The head is silent for too long, or time is over before they came.
    """
    told, began = None, time.monotonic()
    while True:
        nodes = head.wait_for_answer()
        found = sum(1 for node in nodes if node.slots_for(demand))
        if found >= num_wanted:
            return nodes
        state = f"{found} of {num_wanted} nodes that can hold a trial are in the cluster"
        if seconds is not None and time.monotonic() - began >= seconds:
            raise ClusterLost(f"{state} after {seconds:g} s")
        if is_over_time():
            raise ClusterLost(f"{state}, and the time budget is used up")
        if found != told:
            told = found
            console.print(f"{state}: waiting for the others", markup=False, highlight=False)
        time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class Aside:
    """Nodes that get no trial of a sweep, as they have another model of device than the others.

    Attributes:
        node_ids: The cluster's names for them.
        reason: A sentence; empty where there are none.
    """

    node_ids: frozenset[str] = frozenset()
    reason: str = ""

    def others(self, nodes: Sequence[Node]) -> list[Node]:
        """Return the nodes that are not among them."""
        return [node for node in nodes if node.node_id not in self.node_ids]


def nodes_aside(prepared: Prepared, nodes: Sequence[Node], ask: Ask) -> Aside:
    """Ask the nodes for their devices, and keep a sweep to one model unless it may mix them."""
    demand = prepared.sweep.resources
    holding = [node for node in nodes if node.slots_for(demand)]
    if demand.mixed_devices or len(holding) < 2:
        return Aside()
    devices = _devices_of(
        ask(device_names, dict.fromkeys((n.node_id for n in holding), "")), demand
    )
    planned = {item.trial_id for item in prepared.plan.trials}
    recorded = Counter(
        trial.device for name, trial in prepared.state.trials.items() if name in planned
    )
    kept = one_device(holding, devices, demand, recorded)
    odd = [node for node in holding if devices.get(node.node_id, kept) != kept]
    if not odd:
        return Aside()
    places = zip(places_of(nodes), nodes, strict=True)
    told = ", ".join(f"{place} ({devices[node.node_id]})" for place, node in places if node in odd)
    return Aside(
        frozenset(node.node_id for node in odd),
        f"trials are kept to one model of device, {kept}; {told} set aside: "
        "--set resources.mixed_devices=true takes all",
    )


def _devices_of(replies: Mapping[str, Reply], demand: ResourcesSpec) -> dict[str, str]:
    """Return what trials would run on, by the node; of one that has not told nothing."""
    found = {}
    for node_id, reply in replies.items():
        with suppress(ValidationError):
            names = DeviceNames.model_validate_json(reply.answer or "")
            found[node_id] = names.for_trials(on_gpus=demand.gpus > 0)
    return {node_id: model for node_id, model in found.items() if model}


def nodes_for(
    prepared: Prepared, address: str, make_driver: MakeDriver
) -> tuple[Sequence[Node], Aside]:
    """List the nodes of the cluster at an address, those that a sweep is kept from apart.

    Raises:
        UserError: No cluster answers there, or it is gone meanwhile.
    """
    try:
        with scratch_folder() as scratch:
            driver = make_driver(address, scratch)
            with driver.join() as nodes:
                aside = nodes_aside(prepared, nodes, driver.ask)
                return aside.others(nodes), aside
    except ClusterLost as lost:
        raise user_error(
            str(lost), where=f"the cluster at {address}", mend="look at its head, and ask again"
        ) from lost
