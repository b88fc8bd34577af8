"""A run waits for as many nodes as it was told to, and keeps a sweep to one model of device."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest
from rich.console import Console

from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, Prepared, prepare
from orchestrator.running import nodes
from orchestrator.running.driver import Ask, ClusterLost, Reply
from orchestrator.running.nodes import Aside, nodes_aside, nodes_for, wait_for_nodes
from workers.contract.errors import UserError
from workers.contract.sweep_spec import ResourcesSpec
from workers.process.devices import DeviceNames, device_names

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
    monkeypatch.setattr(nodes, "_LOOK_SECONDS", 0.0)

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


def test_it_waits_no_longer_than_it_was_told(wait):
    """So many seconds after it began."""
    sentence = "1 of 2 nodes that can hold a trial are in the cluster after 0 s"
    with pytest.raises(ClusterLost, match=sentence):
        wait([WORKER], seconds=0.0)
    assert wait([WORKER], [WORKER, WORKER], seconds=60.0)[0] == [WORKER, WORKER]


NODES = [Node("a", 8, 1, "1"), Node("a", 8, 1, "2"), Node("b", 8, 1, "3"), HEAD]
MODELS = {"1": ["H100"], "2": ["H100"], "3": ["T4"]}


@pytest.fixture
def prepare_with(toy_sweep):
    """Prepare a sweep of two trials on a GPU each."""

    def make(**resources: object) -> Prepared:
        toy_sweep(seeds=2, resources={"gpus": 1, "cpus": 1} | resources)
        return prepare("toy.yaml", Options("store"))

    return make


def ask_for(models: Mapping[str, list[str]]) -> Ask:
    """Answer as nodes of these GPUs do; of one that is not named nothing comes back."""

    def ask(function: object, questions: Mapping[str, str]) -> dict[str, Reply]:
        assert function is device_names
        assert "" not in questions, "a node that holds no trial is not asked"
        names = {node_id: models.get(node_id) for node_id in questions}
        told = {
            node_id: None
            if gpus is None
            else DeviceNames(processor="cpu", gpus=gpus).model_dump_json()
            for node_id, gpus in names.items()
        }
        return {node_id: Reply(answer) for node_id, answer in told.items()}

    return ask


def test_a_node_of_another_model_is_set_aside(prepare_with):
    """With a sentence that says how to use it all the same."""
    aside = nodes_aside(prepare_with(), NODES, ask_for(MODELS))
    assert aside == Aside(
        frozenset({"3"}),
        "trials are kept to one model of device, H100; node b (T4) set aside: "
        "--set resources.mixed_devices=true takes all",
    )
    assert [node.node_id for node in aside.others(NODES)] == ["1", "2", ""]


def test_the_model_of_recorded_trials_is_kept_to(prepare_with, finish_trial):
    """Other trials of the sweep ran on it."""
    prepared = prepare_with()
    finish_trial(prepared.store, prepared.plan.trials[0], [], device="T4")
    again = prepare("toy.yaml", Options("store"))
    assert nodes_aside(again, NODES, ask_for(MODELS)).node_ids == {"1", "2"}


@pytest.mark.parametrize(
    "models",
    [
        {"1": ["H100"], "2": ["H100"], "3": ["H100"]},
        {"1": ["H100"], "2": ["H100"]},  # the third does not answer, which is told as a fault
        {"1": ["H100"], "2": ["H100"], "3": []},  # no driver of NVIDIA's tells its model
    ],
)
def test_nodes_of_one_model_or_an_unknown_one_are_all_taken(prepare_with, models):
    """Nothing is said."""
    assert nodes_aside(prepare_with(), NODES, ask_for(models)) == Aside()


def test_where_devices_may_be_mixed_nobody_is_asked(prepare_with):
    """Neither where there is one node."""
    assert nodes_aside(prepare_with(mixed_devices=True), NODES, None) == Aside()
    assert nodes_aside(prepare_with(), NODES[2:], None) == Aside()


def test_trials_on_processors_are_kept_to_one_model_of_them(prepare_with):
    """GPUs count for nothing there."""
    prepared = prepare_with(gpus=0)
    assert nodes_aside(prepared, NODES[:3], ask_for(MODELS)) == Aside()


class Joined:
    """A driver whose cluster has the nodes above; `lost` where it is gone when it is asked."""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost

    def __call__(self, _address: str, _scratch: object) -> Joined:
        return self

    def join(self) -> AbstractContextManager[Sequence[Node]]:
        return nullcontext(NODES)

    def ask(self, function: object, questions: Mapping[str, str]) -> dict[str, Reply]:
        if self.lost:
            raise ClusterLost("the head is gone")
        return ask_for(MODELS)(function, questions)


def test_a_plan_counts_no_node_that_is_set_aside(prepare_with):
    """The sentence comes with the others; a cluster that is lost meanwhile is a fault."""
    prepared = prepare_with()
    others, aside = nodes_for(prepared, "head:6379", Joined())
    assert (others, aside.node_ids) == (aside.others(NODES), {"3"})
    with pytest.raises(UserError, match="the head is gone") as error:
        nodes_for(prepared, "head:6379", Joined(lost=True))
    assert error.value.faults[0].where == "the cluster at head:6379"
