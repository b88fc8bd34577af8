"""The failure policy, pure: the class of an ended attempt, and what is done about it.

A class has a cap on how often it may hit one piece of work within a run; beyond it the work is
given up until the command is run again. Failures of earlier runs do not count: something may have
been mended since.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.planning.store_state import FailedAttempt
from workers.contract.failure_classes import FailureClass, WorkName, max_attempts
from workers.contract.orders import EXIT_UNANSWERED, Answer
from workers.contract.plugin_call import PluginCall

_LONGEST_WAIT_SECONDS = 300.0
_SHARE_TOO_SMALL = "gpu_out_of_memory"
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS}
)

_OF_WHO_HAS_THE_WORD: frozenset[FailureClass] = frozenset({"hang", "crash", "bug", "storage"})
"""Of a process that ends without an answer; that a machine's memory is full, or a node gone, is not its doing."""


@dataclass(frozen=True)
class Policy:
    """The response to a class of failure; how often it is met is `MAX_ATTEMPTS`.

    Attributes:
        wait_seconds: Before the second try; doubled before each further one.
        is_systemic: Equal failures of several trials point to one cause, which will fail the
            others.
    """

    wait_seconds: float
    is_systemic: bool = False


POLICIES: dict[str, Policy] = {
    "user_error": Policy(0, is_systemic=True),
    "bug": Policy(1, is_systemic=True),
    "nonfinite": Policy(0),
    "model_lost": Policy(0),
    "conflict": Policy(0),
    "gpu_out_of_memory": Policy(10, is_systemic=True),  # a share is doubled instead
    "gpu_busy": Policy(10),
    "host_out_of_memory": Policy(30, is_systemic=True),
    "device": Policy(10, is_systemic=True),
    "storage": Policy(5, is_systemic=True),
    "hang": Policy(1),
    "crash": Policy(1, is_systemic=True),  # as from a library that does not fit the machine
    "worker_lost": Policy(1),
    "node_lost": Policy(5),
    "other_code": Policy(0),  # of the node, which gets no further task of this run
    "preempted": Policy(0),  # the node is gone, and the others are not affected
}
"""What is done about each class."""

NUM_EQUAL_FAILURES = 5
"""Trials given up with one signature before a run stops by itself."""


@dataclass(frozen=True)
class Failure:
    """One failed attempt: its class, a signature that groups equal causes, and the message."""

    failure_class: FailureClass
    signature: str
    message: str


def policy_of(failure_class: str) -> Policy:
    """Return the policy of a class named in the store; one of another version counts as a bug."""
    return POLICIES.get(failure_class, POLICIES["bug"])


def should_retry(classes: Sequence[str], num_smaller_shares: int = 0) -> bool:
    """Return whether work that failed like this is tried again: no class is at its cap.

    Args:
        classes: The classes of its failures, in order.
        num_smaller_shares: Shares of a GPU tried before this one; that they were too small does not
            count, as the cure was still to come.
    """
    uncounted = {_SHARE_TOO_SMALL: num_smaller_shares}
    return all(
        classes.count(name) - uncounted.get(name, 0) < max_attempts(name) for name in set(classes)
    )


def wait_before_retry(classes: Sequence[str]) -> float:
    """Return the seconds to wait: those of the last class, doubled with each of its failures."""
    last = classes[-1]
    wait = policy_of(last).wait_seconds * 2.0 ** (classes.count(last) - 1)
    return min(wait, _LONGEST_WAIT_SECONDS)


def wants_larger_share(failure_class: str, device_share: float) -> bool:
    """Return whether the cure is more of the GPU, of which the trial held only a share."""
    return failure_class == _SHARE_TOO_SMALL and 0 < device_share < 1


def larger_share(device_share: float) -> float:
    """Return twice the share, at most 1; 1/3 becomes 1/1, as only 1 and 1/n can be packed."""
    parts = round(1 / device_share)
    return 1.0 / (parts // 2) if parts % 2 == 0 else 1.0 / max(1, (parts - 1) // 2)


def num_larger_shares(device_share: float) -> int:
    """Count the larger shares that are tried in turn from this one up to the whole device."""
    if not 0 < device_share < 1:
        return 0
    return 1 + num_larger_shares(larger_share(device_share))


def given_up(
    failures: Sequence[FailedAttempt], num_smaller_shares: int = 0
) -> dict[WorkName, FailedAttempt]:
    """Return the work whose failures reached the cap of a class, with the failure that did.

    `num_smaller_shares` are tried before work has a whole device, as in `should_retry`.
    """
    classes: dict[WorkName, list[str]] = {}
    reached: dict[WorkName, FailedAttempt] = {}
    for failure in sorted(failures, key=lambda failure: failure.attempt_id):
        classes.setdefault(failure.work, []).append(failure.failure_class)
        if not should_retry(classes[failure.work], num_smaller_shares):
            reached.setdefault(failure.work, failure)
    return reached


def common_cause(failures: Sequence[FailedAttempt], num_smaller_shares: int = 0) -> str | None:
    """Return what fails one trial after another, once enough were given up to stop the run."""
    trials: dict[tuple[str, str], set[str]] = {}
    for failure in given_up(failures, num_smaller_shares).values():
        if policy_of(failure.failure_class).is_systemic:
            cause = (failure.failure_class, failure.signature)
            trials.setdefault(cause, set()).add(failure.trial_id)
    for (name, signature), found in trials.items():
        if len(found) >= NUM_EQUAL_FAILURES:
            return f"{len(found)} trials failed alike ({name}: {signature})"
    return None


def failure_of(
    exit_code: int, answer: Answer | None, *, was_hung: bool, was_out_of_memory: bool = False
) -> Failure | None:
    """Classify how a child ended; None when it did not fail.

    Args:
        exit_code: The child's; minus the signal's number where one ended it.
        answer: The child's, if it wrote one.
        was_hung: It was ended for lack of progress.
        was_out_of_memory: The system killed processes for lack of memory meanwhile.
    """
    if was_hung:
        return Failure("hang", "hang", "no progress for longer than allowed; the attempt was ended")
    if answer is not None and answer.status in {"committed", "drained"} and exit_code >= 0:
        return None
    if answer is not None and answer.failure_class is not None:
        signature = answer.signature or answer.failure_class
        return Failure(answer.failure_class, signature, answer.message or "")
    if exit_code < 0:
        return _ended_by(-exit_code, was_out_of_memory=was_out_of_memory)
    if exit_code == EXIT_UNANSWERED:
        message = "the attempt could not write its answer into the folder for temporary files"
        return Failure("storage", "no answer", message)
    return Failure(
        "bug", f"exit {exit_code}", f"the attempt left with code {exit_code} and no answer"
    )


def failure_within(
    plugin: PluginCall | None, failure: Failure | None, exit_code: int, hang_seconds: float
) -> Failure | None:
    """Lay a failure without an answer on the plugin that had the word; tried again it would do the same.

    Args:
        plugin: What of the user's own code the attempt was calling when it ended.
        failure: As `failure_of` classifies it.
        exit_code: The child's; minus the signal's number where one ended it.
        hang_seconds: The longest time without progress.
    """
    if plugin is None or failure is None or failure.failure_class not in _OF_WHO_HAS_THE_WORD:
        return failure
    is_hung = failure.failure_class == "hang"
    fault = plugin.too_long(hang_seconds) if is_hung else plugin.ended(exit_code)
    return Failure("user_error", f"{failure.signature} in {plugin.name}", str(fault))


def _ended_by(number: int, *, was_out_of_memory: bool) -> Failure:
    known = {each.value: each.name for each in signal.Signals}
    name = known.get(number, f"signal {number}")  # most real-time signals have no name
    if was_out_of_memory and number == signal.SIGKILL:
        message = "the system ended the attempt, as the machine was out of memory"
        return Failure("host_out_of_memory", name, message)
    kind: FailureClass = "crash" if number in _CRASHES else "worker_lost"
    return Failure(kind, name, f"the attempt was ended by {name}")
