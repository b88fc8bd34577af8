"""A run on a cluster that is still growing waits until so many of its nodes can hold a trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console

from orchestrator.planning.fit import Node
from orchestrator.running.driver import ClusterLost, HeadWatch
from workers.contract.sweep_spec import ResourcesSpec

_LOOK_SECONDS = 2.0


def wait_for_nodes(
    num_wanted: int,
    demand: ResourcesSpec,
    head: HeadWatch,
    console: Console,
    *,
    is_over_time: Callable[[], bool] = lambda: False,
) -> Sequence[Node]:
    """Wait until enough nodes are there; how many there are is told whenever that changes.

    Args:
        num_wanted: Of nodes that can hold a trial.
        demand: Of a trial.
        head: Of the joined cluster.
        console: For what is told.
        is_over_time: Whether to wait no more.

    Returns:
        All nodes of the cluster.

    Raises:
        ClusterLost: The head is silent for too long, or time is over before they came.
    """
    told = None
    while True:
        nodes = head.wait_for_answer()
        found = sum(1 for node in nodes if node.slots_for(demand))
        if found >= num_wanted:
            return nodes
        state = f"{found} of {num_wanted} nodes that can hold a trial are in the cluster"
        if is_over_time():
            raise ClusterLost(f"{state}, and the time budget is used up")
        if found != told:
            told = found
            console.print(f"{state}: waiting for the others", markup=False, highlight=False)
        time.sleep(_LOOK_SECONDS)
