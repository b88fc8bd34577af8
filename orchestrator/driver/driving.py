"""What a drive of tasks over slots is told, and how it ended; the driver itself brings Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.driver.head import Head
from orchestrator.planning.fit import Node
from orchestrator.slots.failures import Failure
from orchestrator.slots.hung_slots import Slots
from orchestrator.slots.task import SlotResult, SlotTask


@dataclass(frozen=True)
class Around:
    """What a drive tells and asks of the run around it.

    Attributes:
        watch: Called every second in the calling thread, which stays free for signals; it is given
            the slots at work.
        on_loss: Called in Tune's thread when a slot died over a task.
        is_stopping: Whether the run was asked to drain.
        scratch: A local folder for what Tune insists on writing.
        head_seconds: A head that does not answer for this long is lost.
        shunned: Nodes, by id, that get no task: they hold other code.
    """

    watch: Callable[[Slots], None]
    on_loss: Callable[[SlotTask, Failure], None]
    is_stopping: Callable[[], bool]
    scratch: Path
    head_seconds: float = 30.0
    shunned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """A task that a slot of other code gave back: the node's id, and the reason as a sentence."""

    node_id: str
    reason: str


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


Drive = Callable[[Sequence[SlotTask], Sequence[Node], Around], DriveResult]
"""Runs every task on some slot of the joined cluster; it is given to the waves, which need no Ray."""

WatchHead = Callable[[float], Head]
"""Gives what watches the head of the joined cluster, to be entered."""
