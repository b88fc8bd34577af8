"""Whether the head of a cluster still answers, and whether any node could hold what is to be done."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection

from orchestrator.planning.fit import Node
from orchestrator.running.driver import ClusterLost
from workers.contract.sweep_spec import ResourcesSpec

_LOOK_SECONDS = 5.0
_POLL_SECONDS = 0.2
_FAREWELL_SECONDS = 1.0


class Head:
    """Asks for the nodes in a thread of its own, as a head that is gone does not answer.

    Args:
        list_nodes: Gives the living nodes; may block without end, or raise anything.
        head_seconds: Without an answer for so long the head is lost.
        room_seconds: How long no node may have room before the cluster counts as lost.
        stopping_room_seconds: The same while the run is stopping.
    """

    def __init__(
        self,
        list_nodes: Callable[[], list[Node]],
        *,
        head_seconds: float = 30.0,
        room_seconds: float = 300.0,
        stopping_room_seconds: float = 30.0,
    ) -> None:
        self._list_nodes = list_nodes
        self._head_seconds = head_seconds
        self._patience = {False: room_seconds, True: stopping_room_seconds}
        self._woken, self._is_over = threading.Event(), False
        self._nodes: list[Node] | None = None
        self._thread = threading.Thread(target=self._ask, name="head", daemon=True)
        self._unanswered_since: float | None = None
        self._answered_question = self._had_room = time.monotonic()

    def __enter__(self) -> Head:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._woken.set()
        self._thread.join(_FAREWELL_SECONDS)  # it must not ask a cluster that is left meanwhile

    def check(
        self,
        demands: Collection[ResourcesSpec],
        *,
        is_stopping: bool,
        shunned: Collection[str] = (),
    ) -> None:
        """Compare what it last said with what is wanted; nodes that are shunned, by id, hold nothing.

        Raises:
            ClusterLost: It is silent for too long, or no node could hold any of the trials for too long.
        """
        self.refuse_silence()
        now = time.monotonic()
        nodes = (
            None if self._nodes is None else [n for n in self._nodes if n.node_id not in shunned]
        )
        if nodes is None or any(node.slots_for(demand) for node in nodes for demand in demands):
            self._had_room = now
        if now - self._had_room > self._patience[is_stopping]:
            raise ClusterLost(
                f"no node that could hold a trial was there for {self._patience[is_stopping]:.0f} s"
            )

    def wait_for_answer(self) -> list[Node]:
        """Wait until it answers a question that was asked from now on, and give the nodes it names.

        Raises:
            ClusterLost: It is silent for too long.
        """
        now = time.monotonic()
        while self._answered_question < now:
            self.refuse_silence()
            self._woken.set()
            time.sleep(_POLL_SECONDS)
        return self._nodes or []

    def refuse_silence(self) -> None:
        """Compare how long it has not answered with how long it may.

        Counted from a question that waits: while we are stopped ourselves nobody asks anything.

        Raises:
            ClusterLost: It is silent for too long.
        """
        since = self._unanswered_since
        if since is not None and time.monotonic() - since > self._head_seconds:
            raise ClusterLost(
                f"the head of the cluster has not answered for {self._head_seconds:.0f} s"
            )

    def _ask(self) -> None:
        while not self._is_over:
            asked = time.monotonic()
            if self._unanswered_since is None:  # else it has failed since then
                self._unanswered_since = asked
            with contextlib.suppress(Exception):
                self._nodes = self._list_nodes()
                self._unanswered_since, self._answered_question = None, asked
            self._woken.wait(_LOOK_SECONDS)
            self._woken.clear()
