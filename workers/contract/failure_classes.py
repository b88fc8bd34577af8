"""The kinds of failure, as view `failures` names them, and how often work that meets one is tried.

What else is done about each is the orchestrator's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

WorkName = tuple[str, str | None]
"""What an attempt is at, as view `failures` names it: the trial, and the statistic or None to train."""

FailureClass = Literal[
    "user_error",
    "bug",
    "nonfinite",
    "model_lost",
    "conflict",
    "gpu_out_of_memory",
    "gpu_busy",
    "host_out_of_memory",
    "device",
    "storage",
    "hang",
    "crash",
    "worker_lost",
    "node_lost",
    "preempted",
    "other_code",
]
"""A view may hold others, written by another version of the code."""

MAX_ATTEMPTS: dict[str, int] = {
    "user_error": 1,  # the same input fails the same way
    "bug": 2,  # once more, in case it was the machine after all
    "nonfinite": 1,  # the same numbers fail the same way
    "model_lost": 2,  # the slot trains again in between
    "conflict": 1,  # retrained weights differ: a person must look
    "gpu_out_of_memory": 3,
    "gpu_busy": 5,
    "host_out_of_memory": 3,
    "device": 3,
    "storage": 8,
    "hang": 2,
    "crash": 3,
    "worker_lost": 4,
    "node_lost": 8,
    "preempted": 20,
    "other_code": 20,
}
"""How often, in all, work that fails like this is tried within a run."""


def max_attempts(failure_class: str) -> int:
    """Return how often work that fails like this is tried; a class of another version counts as a bug."""
    return MAX_ATTEMPTS.get(failure_class, MAX_ATTEMPTS["bug"])


def given_up_work(failures: Iterable[tuple[WorkName, str]]) -> frozenset[WorkName]:
    """Return the work that a class of failure has befallen as often as a run tries it.

    A row of view `failures` does not name its run, so those of all runs are counted together.

    Args:
        failures: Of each the work and the class.
    """
    counts = Counter(failures)
    return frozenset(work for (work, name), count in counts.items() if count >= max_attempts(name))
