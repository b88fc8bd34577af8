"""A slot of other code takes nothing, says which node that is, and the trial has no part in it."""

from __future__ import annotations

import socket

from orchestrator.slots.failures import should_retry
from orchestrator.slots.other_code import failure_of_refusal, refusal_of
from workers.process.code_digest import running_code


def test_the_same_code_is_no_reason():
    """The driver's digest is this process' own."""
    assert refusal_of(running_code()) is None


def test_other_code_is_told_with_the_node_both_digests_and_the_cure():
    """The name of the machine is where it must be mended."""
    assert refusal_of("0123") == (
        f"node {socket.gethostname()} holds other code ({running_code()}) than the driver (0123); "
        "install the same version there"
    )


def test_a_refusal_does_not_count_as_the_trial_s_own_failure():
    """It is tried on, as after a preempted node."""
    failure = failure_of_refusal("node a holds other code")
    assert (failure.failure_class, failure.message) == ("other_code", "node a holds other code")
    assert should_retry([failure.failure_class] * 19)
    assert not should_retry([failure.failure_class] * 20)
