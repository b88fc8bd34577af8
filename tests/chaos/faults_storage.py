"""A store that cannot be written, is full, is slow, answers with errors; for some seconds."""

from __future__ import annotations

import time
from typing import Protocol

from ground import Ground, Missed


class Spoilable(Protocol):
    """A place of a store that something can be wrong with for a while."""

    num_spoilt: int
    """How many requests were answered wrongly or late, where that is seen."""

    def spoilt(self, mode: str):
        """Have something wrong with it for the duration of a block."""
        ...


def spoil(ground: Ground, storage: Spoilable, mode: str) -> None:
    """Something is wrong with the storage while a sweep runs, and then no more."""
    with ground.fault(f"storage {mode}"):
        ground.wait_for_attempts()
        before = storage.num_spoilt
        with storage.spoilt(mode):
            time.sleep(ground.world.rng.uniform(1.5, 3))
        if storage.num_spoilt == before:
            raise Missed("nobody asked the storage for anything")
