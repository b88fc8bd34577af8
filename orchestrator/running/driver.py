"""What a run needs of the driver it is given: to join a cluster, ask its nodes, and drive tasks over slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.planning.fit import Node
from orchestrator.slots.failures import Failure
from orchestrator.slots.hung_slots import Slots
from orchestrator.slots.task import SlotResult, SlotTask


class ClusterLost(Exception):
    """The cluster does not answer any more, or has no node left that could hold a trial."""


@dataclass(frozen=True)
class Refusal:
    """A task that a slot of other code gave back: the node's id, and the reason as a sentence."""

    node_id: str
    reason: str


@dataclass(frozen=True)
class Hooks:
    """What a drive reports to the run and asks of it.

    Attributes:
        watch: Called every second in the calling thread, which stays free for signals, with the slots
            at work.
        on_loss: Called in a thread of the driver's when a slot died over a task.
        is_stopping: Whether the run was asked to drain.
        scratch: A local folder for what the driver writes and nobody reads back.
        head_seconds: A head that does not answer for this long is lost.
        max_concurrent: So many tasks at a time at most; None for as many as fit.
        shunned: Nodes, by id, that get no task: they hold other code.
        on_refusal: Called in a thread of the driver's when a slot has given a task back; returns the nodes
            that get none from then on.
    """

    watch: Callable[[Slots], None]
    on_loss: Callable[[SlotTask, Failure], None]
    is_stopping: Callable[[], bool]
    scratch: Path
    head_seconds: float = 30.0
    shunned: frozenset[str] = frozenset()
    on_refusal: Callable[[Refusal], frozenset[str]] | None = None
    max_concurrent: int | None = None


@dataclass(frozen=True)
class DriveResult:
    """How the tasks ended.

    Attributes:
        results: What slots answered.
        lost: Trials whose slots died too often, or never started.
        unstarted: Trials that still waited for a slot when the run was asked to drain.
        refused: By trial.
    """

    results: list[SlotResult]
    lost: set[str]
    unstarted: set[str]
    refused: dict[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came back from a node: its answer, or why there is none.

    Attributes:
        is_leaving: The node is gone, or takes no more tasks as it is to go; no fault of anyone.
    """

    answer: str | None
    silence: str = ""
    is_leaving: bool = False


Ask = Callable[[Callable[[str], str], Mapping[str, str]], Mapping[str, Reply]]
"""Runs a function of one text on each node named by its id, with that node's text."""


class HeadWatch(Protocol):
    """Knows how long the head of the joined cluster has not answered."""

    def refuse_silence(self) -> None:
        """Compare how long it has not answered with how long it may.

        Raises:
            ClusterLost: It is silent for too long.
        """

    def wait_for_answer(self) -> Sequence[Node]:
        """Wait until it answers a question that is asked from now on, and return the nodes it names.

        Raises:
            ClusterLost: It is silent for too long.
        """


class Driver(Protocol):
    """Schedules tasks on the slots of one cluster; the run alone decides what is done and what is left."""

    def join(self) -> AbstractContextManager[Sequence[Node]]:
        """Join the cluster, or start one of our own, and list its nodes; leave it at the end.

        Raises:
            UserError: There is none.
        """

    def ask(
        self, function: Callable[[str], str], questions: Mapping[str, str]
    ) -> Mapping[str, Reply]:
        """Run a function of one text on each node named by its id, with that node's text.

        Raises:
            ClusterLost: The cluster is gone.
        """

    def drive(self, tasks: Sequence[SlotTask], nodes: Sequence[Node], hooks: Hooks) -> DriveResult:
        """Run every task on some slot, in the order given as slots come free.

        Raises:
            ClusterLost: The cluster is gone; what is not done by then can be resumed on another.
        """

    def watch_head(self, head_seconds: float) -> AbstractContextManager[HeadWatch]:
        """Watch the head of the joined cluster while no task is driven."""


MakeDriver = Callable[[str | None, Path], Driver]
"""Makes the driver for the cluster at an address (None: one of our own), given a scratch folder."""
