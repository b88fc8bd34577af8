"""The driver that runs are given: Ray, and Ray Tune."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import final

from orchestrator.driver.ask_nodes import ask_nodes
from orchestrator.driver.cluster import cluster, head_of_cluster
from orchestrator.driver.drive import drive
from orchestrator.driver.head import Head
from orchestrator.planning.fit import Node
from orchestrator.running.driver import DriveResult, Hooks, Reply
from orchestrator.slots.task import SlotTask


@final
class RayDriver:
    """The `Driver` over the Ray cluster at an address, or over one of our own on this machine."""

    def __init__(self, address: str | None, scratch: Path) -> None:
        self._address, self._scratch = address, scratch

    def join(self) -> AbstractContextManager[Sequence[Node]]:
        """See `Driver.join`."""
        return cluster(self._address, self._scratch)

    def ask(
        self, function: Callable[[str], str], questions: Mapping[str, str]
    ) -> Mapping[str, Reply]:
        """See `Driver.ask`."""
        return ask_nodes(function, questions)

    def drive(self, tasks: Sequence[SlotTask], nodes: Sequence[Node], hooks: Hooks) -> DriveResult:
        """See `Driver.drive`."""
        return drive(tasks, nodes, hooks)

    def watch_head(self, head_seconds: float) -> Head:
        """See `Driver.watch_head`."""
        return head_of_cluster(head_seconds)
