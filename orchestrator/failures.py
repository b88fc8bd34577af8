"""The failure policy, pure: what class an ended attempt is of, and whether to try again."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.missing import FailedAttempt
from workers.contract.orders import EXIT_DRAINED, Answer


@dataclass(frozen=True)
class Policy:
    """How often a class of failure is tried in all, and how long to wait before each further try."""

    max_attempts: int
    wait_seconds: float


POLICIES: dict[str, Policy] = {
    "user_error": Policy(1, 0),  # the same input fails the same way
    "bug": Policy(2, 1),  # once more, in case it was the machine after all
    "model_lost": Policy(2, 0),  # the slot trains again in between
    "conflict": Policy(1, 0),  # retrained weights differ: a person must look
    "out_of_memory": Policy(2, 10),
    "gpu_busy": Policy(5, 10),
    "killed": Policy(4, 1),
    "hang": Policy(2, 1),
    "storage": Policy(5, 5),
    "device": Policy(3, 10),
    "numerics": Policy(1, 0),  # the same numbers fail the same way
    "fork_server_lost": Policy(4, 1),
}
"""Classes of failure. A class not named here is treated as a bug."""


@dataclass(frozen=True)
class Failure:
    """One failed attempt: its class, a signature that groups equal causes, and the message."""

    failure_class: str
    signature: str
    message: str


def policy_of(failure_class: str) -> Policy:
    """Give the policy of a class."""
    return POLICIES.get(failure_class, POLICIES["bug"])


def should_retry(failures: Sequence[Failure]) -> bool:
    """Say whether work that failed like this is tried again: no class beyond its cap."""
    last = failures[-1].failure_class
    same_class = sum(1 for failure in failures if failure.failure_class == last)
    return same_class < policy_of(last).max_attempts


def wait_before_retry(failures: Sequence[Failure]) -> float:
    """Give the seconds to wait: the class's own, doubled with each further failure of it."""
    last = failures[-1].failure_class
    same_class = sum(1 for failure in failures if failure.failure_class == last)
    return float(policy_of(last).wait_seconds * 2 ** (same_class - 1))


def num_given_up(failures: Iterable[FailedAttempt]) -> int:
    """Count the pieces of work whose failures reached the cap of a class."""
    counts = Counter((item.trial_id, item.statistic_id, item.failure_class) for item in failures)
    reached = {
        (trial, statistic)
        for (trial, statistic, kind), count in counts.items()
        if count >= policy_of(kind).max_attempts
    }
    return len(reached)


def failure_of(exit_code: int, answer: Answer | None, *, was_hung: bool) -> Failure | None:
    """Classify how a child ended; None when it did not fail."""
    if was_hung:
        return Failure("hang", "hang", "no progress for longer than allowed; the attempt was ended")
    if answer is not None and answer.status in {"committed", "drained"} and exit_code >= 0:
        return None
    if answer is not None and answer.failure_class is not None:
        signature = answer.signature or answer.failure_class
        return Failure(answer.failure_class, signature, answer.message or "")
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return Failure("killed", name, f"the attempt was ended by {name}")
    if exit_code == EXIT_DRAINED:
        return None
    return Failure(
        "bug", f"exit {exit_code}", f"the attempt left with code {exit_code} and no answer"
    )
