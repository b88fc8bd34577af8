"""The failure policy: classes, caps, waits."""

from __future__ import annotations

import signal

import pytest

from orchestrator.failures import (
    POLICIES,
    Failure,
    failure_of,
    policy_of,
    should_retry,
    wait_before_retry,
)
from workers.contract.orders import Answer


def failure(kind: str) -> Failure:
    return Failure(kind, kind, "")


@pytest.mark.parametrize("kind", sorted(POLICIES))
def test_each_class_is_tried_up_to_its_cap(kind):
    """The cap counts all attempts of the class."""
    for count in range(1, policy_of(kind).max_attempts + 1):
        assert should_retry([failure(kind)] * count) == (count < policy_of(kind).max_attempts)


def test_a_users_mistake_is_never_tried_again():
    """The same input fails the same way."""
    assert not should_retry([failure("user_error")])


def test_waits_double():
    """So that a store that is away has time to come back."""
    waits = [wait_before_retry([failure("storage")] * count) for count in (1, 2, 3)]
    assert waits == [5, 10, 20]


def test_an_unknown_class_is_a_bug():
    """A plugin's class has a policy too."""
    assert policy_of("something_new") == POLICIES["bug"]


def test_how_a_child_ended():
    """Answer first, then the signal, then the code."""
    committed = Answer(status="committed")
    assert failure_of(0, committed, was_hung=False) is None
    assert failure_of(3, Answer(status="drained"), was_hung=False) is None
    assert failure_of(-9, None, was_hung=False).signature == "SIGKILL"
    assert failure_of(-signal.SIGSEGV, None, was_hung=False).signature == "SIGSEGV"
    assert failure_of(-9, None, was_hung=True).failure_class == "hang"
    assert failure_of(1, None, was_hung=False) == Failure(
        "bug", "exit 1", "the attempt left with code 1 and no answer"
    )
    told = Answer(status="failed", failure_class="storage", signature="s", message="m")
    assert failure_of(1, told, was_hung=False) == Failure("storage", "s", "m")
