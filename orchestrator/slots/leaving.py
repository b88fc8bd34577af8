"""A node that was told its end: its slots save at once, and what they were at goes on elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from orchestrator.slots.failures import Failure

_ASK_SECONDS = 2.0
_FAREWELL_SECONDS = 1.0


class NodeLeaves(Exception):
    """Raised by a slot that has saved as its node is to end, so that the trial gets another slot."""


class Notice:
    """Whether this node was told its end, as clouds tell before they take a machine back.

    Args:
        is_told: Asks the cluster; may block, or raise anything, and so has a thread of its own.
    """

    def __init__(self, is_told: Callable[[], bool]) -> None:
        self._is_told = is_told
        self._is_given, self._is_over = False, threading.Event()
        self._thread = threading.Thread(target=self._ask, name="notice", daemon=True)
        self._thread.start()

    def is_given(self) -> bool:
        """Return whether it was told; it is never taken back."""
        return self._is_given

    def close(self) -> None:
        """Ask no more."""
        self._is_over.set()
        self._thread.join(_FAREWELL_SECONDS)

    def _ask(self) -> None:
        while not (self._is_given or self._is_over.is_set()):
            with suppress(Exception):
                self._is_given = self._is_told()
            self._is_over.wait(_ASK_SECONDS)


def failure_of_notice() -> Failure:
    """Classify an attempt that has saved as its node is to end."""
    message = (
        f"node {socket.gethostname()} is to end; what was done is saved, and goes on elsewhere"
    )
    return Failure("preempted", "node preempted", message)
