"""A run waits until its cluster has as many nodes as it was told to wait for."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from orchestrator.planning.fit import Node
from orchestrator.running import awaited_nodes
from orchestrator.running.awaited_nodes import wait_for_nodes
from orchestrator.running.driver import ClusterLost
from workers.contract.sweep_spec import ResourcesSpec

HEAD = Node("head", cpus=1, gpus=0)
WORKER = Node("worker", cpus=8, gpus=1)
DEMAND = ResourcesSpec(gpus=1, cpus=2)


class Growing:
    """A cluster that has other nodes each time it is asked, in the end the last ones."""

    def __init__(self, *states: Sequence[Node]) -> None:
        self.states = list(states)

    def refuse_silence(self) -> None:
        """Answer always."""

    def wait_for_answer(self) -> Sequence[Node]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@pytest.fixture
def wait(monkeypatch):
    """Wait for two nodes; which came, and what was told."""
    monkeypatch.setattr(awaited_nodes, "_LOOK_SECONDS", 0.0)

    def run(*states: Sequence[Node], **options: object) -> tuple[Sequence[Node], str]:
        stream = io.StringIO()
        console = Console(file=stream, width=200)
        return wait_for_nodes(2, DEMAND, Growing(*states), console, **options), stream.getvalue()

    return run


def test_it_waits_until_enough_nodes_can_hold_a_trial(wait):
    """A head without room is none of them; each number is told once."""
    nodes, told = wait([HEAD], [HEAD], [HEAD, WORKER], [HEAD, WORKER], [HEAD, WORKER, WORKER])
    assert nodes == [HEAD, WORKER, WORKER]
    assert told == (
        "0 of 2 nodes that can hold a trial are in the cluster: waiting for the others\n"
        "1 of 2 nodes that can hold a trial are in the cluster: waiting for the others\n"
    )


def test_where_they_are_there_nothing_is_told(wait):
    """The run starts at once."""
    assert wait([WORKER, WORKER]) == ([WORKER, WORKER], "")


def test_it_waits_no_longer_than_its_time_budget(wait):
    """The run ends as one whose cluster is lost does: it can be resumed."""
    sentence = (
        "1 of 2 nodes that can hold a trial are in the cluster, and the time budget is used up"
    )
    with pytest.raises(ClusterLost, match=sentence):
        wait([WORKER], is_over_time=lambda: True)
