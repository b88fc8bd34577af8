"""How long work communicates with its surroundings: stop requests, progress, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.contract.orders import Progress

_LARGEST_GROWTH = 8


@dataclass(frozen=True)
class Pulse:
    """The contact of long work with its surroundings, between two chunks.

    Attributes:
        should_stop: Returns whether to save and leave.
        report: Takes the progress.
        clock: Returns monotonic seconds.
        chunk_seconds: Longest time between two calls of `should_stop`.
        checkpoint_seconds: Time between checkpoints.
    """

    should_stop: Callable[[], bool]
    report: Callable[[Progress], None]
    clock: Callable[[], float]
    chunk_seconds: float
    checkpoint_seconds: float


class Pace:
    """The number of steps that a chunk may have, chosen from the time the last one took.

    The first chunk is one step. Its time is not used, for it includes compilation.
    """

    def __init__(self, chunk_seconds: float) -> None:
        self._chunk_seconds = chunk_seconds
        self._is_warm = False
        self.num_steps = 1

    def observe(self, num_steps: int, seconds: float) -> None:
        """Learn from a finished chunk."""
        if self._is_warm and num_steps > 0:
            affordable = self._chunk_seconds * num_steps / max(seconds, 1e-6)
            self.num_steps = max(1, int(min(affordable, _LARGEST_GROWTH * self.num_steps)))
        self._is_warm = True
