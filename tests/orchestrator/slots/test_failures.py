"""The failure policy: classes, caps, waits."""

from __future__ import annotations

import signal
from fractions import Fraction
from typing import get_args

import pytest

from orchestrator.planning.store_state import FailedAttempt
from orchestrator.slots.failures import (
    NUM_EQUAL_FAILURES,
    POLICIES,
    Failure,
    common_cause,
    failure_of,
    failure_within,
    given_up,
    larger_share,
    num_larger_shares,
    policy_of,
    should_retry,
    wait_before_retry,
    wants_larger_share,
)
from workers.contract.failure_classes import MAX_ATTEMPTS, FailureClass
from workers.contract.orders import EXIT_UNANSWERED, Answer
from workers.contract.plugin_call import PluginCall
from workers.contract.sweep_spec import ResourcesSpec


@pytest.mark.parametrize("kind", sorted(MAX_ATTEMPTS))
def test_each_class_is_tried_up_to_its_cap(kind):
    """The cap counts all attempts of the class, among whatever others."""
    for count in range(1, MAX_ATTEMPTS[kind] + 1):
        assert should_retry([kind] * count) == (count < MAX_ATTEMPTS[kind])
    capped = [kind] * MAX_ATTEMPTS[kind]
    assert not should_retry([*capped, "preempted"])


def test_what_never_failed_is_tried():
    """A first attempt needs no leave."""
    assert should_retry([])


def test_a_users_mistake_is_never_tried_again():
    """The same input fails the same way."""
    assert not should_retry(["user_error"])


def test_waits_double():
    """So that a store that is away has time to come back; at most five minutes."""
    waits = [wait_before_retry(["hang"] + ["storage"] * count) for count in (1, 2, 3, 7)]
    assert waits == [5, 10, 20, 300]


@pytest.mark.parametrize(
    ("share", "larger"),
    [("1/2", "1"), ("1/3", "1"), ("1/4", "1/2"), ("1/5", "1/2"), ("1/6", "1/3"), ("1/7", "1/3")],
)
def test_a_larger_share_is_at_least_twice_as_large_and_can_be_packed(share, larger):
    """Whole devices and 1/n alone; the whole is the most."""
    before, after = float(Fraction(share)), larger_share(float(Fraction(share)))
    assert after == pytest.approx(float(Fraction(larger)))
    assert min(1.0, 2 * before) <= after + 1e-9
    assert ResourcesSpec(gpus=after).gpus == pytest.approx(after)


def test_only_a_share_can_grow():
    """Of a whole device there is no more."""
    assert wants_larger_share("gpu_out_of_memory", 0.5)
    assert not wants_larger_share("gpu_out_of_memory", 1.0)
    assert not wants_larger_share("gpu_out_of_memory", 0.0)
    assert not wants_larger_share("host_out_of_memory", 0.5)


def attempts(kind: str, signature: str, *, num_trials: int, each: int = 1) -> list[FailedAttempt]:
    return [
        FailedAttempt(f"trial{trial}", None, f"{trial}-{number}", kind, signature)
        for trial in range(num_trials)
        for number in range(each)
    ]


def test_work_is_given_up_at_the_cap_of_a_class():
    """With the failure that did it; other failures do not add up to a cap."""
    twice = attempts("bug", "s", num_trials=1, each=2)
    assert given_up(twice) == {("trial0", None): twice[1]}
    mixed = [*attempts("bug", "s", num_trials=1), *attempts("hang", "s", num_trials=1)]
    assert given_up(mixed) == {}


def test_equal_failures_of_many_trials_have_a_common_cause():
    """As many as break the circuit, of one signature, and of a class that speaks of one cause."""
    few = attempts("user_error", "bad", num_trials=NUM_EQUAL_FAILURES - 1)
    assert common_cause(few) is None
    many = attempts("user_error", "bad", num_trials=NUM_EQUAL_FAILURES)
    assert common_cause(many) == f"{NUM_EQUAL_FAILURES} trials failed alike (user_error: bad)"
    other = [*few, *attempts("user_error", "worse", num_trials=NUM_EQUAL_FAILURES - 1)]
    assert common_cause(other) is None
    assert common_cause(attempts("nonfinite", "inf", num_trials=NUM_EQUAL_FAILURES)) is None
    retried = attempts("bug", "s", num_trials=NUM_EQUAL_FAILURES)
    assert common_cause(retried) is None


def test_an_unknown_class_is_a_bug():
    """A plugin's class has a policy too."""
    assert policy_of("something_new") == POLICIES["bug"]
    assert should_retry(["something_new"])
    assert not should_retry(["something_new"] * MAX_ATTEMPTS["bug"])


def test_how_a_child_ended():
    """Answer first, then the signal, then the code."""
    committed = Answer(status="committed")
    assert failure_of(0, committed, was_hung=False) is None
    assert failure_of(3, Answer(status="drained"), was_hung=False) is None
    lost = failure_of(-9, None, was_hung=False)
    assert (lost.failure_class, lost.signature) == ("worker_lost", "SIGKILL")
    starved = failure_of(-9, None, was_hung=False, was_out_of_memory=True)
    assert starved.failure_class == "host_out_of_memory"
    crashed = failure_of(-signal.SIGSEGV, None, was_hung=False, was_out_of_memory=True)
    assert (crashed.failure_class, crashed.signature) == ("crash", "SIGSEGV")
    assert failure_of(-signal.SIGSEGV, None, was_hung=False).signature == "SIGSEGV"
    assert failure_of(-9, None, was_hung=True).failure_class == "hang"
    assert failure_of(1, None, was_hung=False) == Failure(
        "bug", "exit 1", "the attempt left with code 1 and no answer"
    )
    told = Answer(status="failed", failure_class="storage", signature="s", message="m")
    assert failure_of(1, told, was_hung=False) == Failure("storage", "s", "m")


@pytest.mark.parametrize(("share", "number"), [(0, 0), (1, 0), (2, 0), (1 / 2, 1), (1 / 8, 3)])
def test_shares_that_are_tried_before_the_whole_device(share, number):
    """Each twice the one before."""
    assert num_larger_shares(share) == number


def test_a_share_too_small_is_not_held_against_a_whole_device():
    """From 1/8 on three shares are tried first; the whole device then has the attempts of its class."""
    memory = ["gpu_out_of_memory"]
    assert should_retry(memory * 3, num_smaller_shares=3)
    assert should_retry(memory * 5, num_smaller_shares=3)
    assert not should_retry(memory * 6, num_smaller_shares=3)
    assert not should_retry(["bug", "bug"], num_smaller_shares=3)
    on_shares = attempts("gpu_out_of_memory", "s", num_trials=NUM_EQUAL_FAILURES, each=3)
    assert common_cause(on_shares) is not None
    assert common_cause(on_shares, num_smaller_shares=3) is None


def test_an_exit_code_is_no_answer():
    """A plugin that leaves with the code of a drained attempt has committed nothing and saved nothing."""
    assert failure_of(3, None, was_hung=False).signature == "exit 3"


def test_an_answer_that_could_not_be_written_is_the_storage_s():
    """The disk of temporary files is full: it is tried again after a while."""
    failure = failure_of(EXIT_UNANSWERED, None, was_hung=False)
    assert (failure.failure_class, failure.signature) == ("storage", "no answer")
    assert "temporary files" in failure.message


def test_a_signal_without_a_name():
    """Most real-time signals have none."""
    assert failure_of(-(signal.SIGRTMIN + 1), None, was_hung=False).signature == "signal 35"


def test_every_class_of_failure_has_its_policy():
    """And a cap; and every policy is of a class."""
    assert set(POLICIES) == set(MAX_ATTEMPTS) == set(get_args(FailureClass))


def test_a_hang_is_laid_on_the_plugin_that_had_the_word():
    """Which would hang again: the user's error, with its name, place and the time it was given."""
    plugin = PluginCall(kind="statistic", name="own.code:measure", where="measure")
    hung = failure_of(-signal.SIGKILL, None, was_hung=True)
    failure = failure_within(plugin, hung, -signal.SIGKILL, hang_seconds=1800)
    assert (failure.failure_class, failure.signature) == ("user_error", "hang in own.code:measure")
    assert failure.message.startswith(
        "the statistic 'own.code:measure' was still being called after 1,800 s, and was ended"
    )
    assert "measure" in failure.message.splitlines()[1]
    assert not should_retry([failure.failure_class])


def test_without_a_plugin_or_with_an_answer_a_failure_stays_as_it_is():
    """Nor is what the machine did laid on whoever had the word then."""
    plugin = PluginCall(kind="loss", name="own.code:make", where="loss")
    hung = failure_of(-signal.SIGKILL, None, was_hung=True)
    assert failure_within(None, hung, -signal.SIGKILL, 1800) is hung
    assert failure_within(plugin, None, 0, 1800) is None
    lost = failure_of(-signal.SIGKILL, None, was_hung=False)
    assert failure_within(plugin, lost, -signal.SIGKILL, 1800) is lost
    starved = failure_of(-signal.SIGKILL, None, was_hung=False, was_out_of_memory=True)
    assert failure_within(plugin, starved, -signal.SIGKILL, 1800) is starved
