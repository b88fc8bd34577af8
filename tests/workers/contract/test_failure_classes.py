"""How often work that fails is tried, and when it is given up."""

from __future__ import annotations

import pytest

from workers.contract.failure_classes import MAX_ATTEMPTS, given_up_work, max_attempts

TRAINING, MEASURING = ("t", None), ("t", "s")


@pytest.mark.parametrize("name", sorted(MAX_ATTEMPTS))
def test_work_is_given_up_at_the_cap_of_a_class(name):
    """One failure fewer, and it is tried again."""
    failures = [(TRAINING, name)] * max_attempts(name)
    assert given_up_work(failures) == {TRAINING}
    assert given_up_work(failures[1:]) == frozenset()


def test_failures_of_several_classes_or_pieces_of_work_do_not_add_up():
    """Each class has its own cap, and each statistic is work of its own."""
    once = [(TRAINING, "bug"), (MEASURING, "bug"), (TRAINING, "hang"), (TRAINING, "preempted")]
    assert given_up_work(once) == frozenset()
    assert given_up_work([*once, (MEASURING, "bug")]) == {MEASURING}


def test_an_unknown_class_counts_as_a_bug():
    """As another version of the code may have written it."""
    assert max_attempts("something_new") == MAX_ATTEMPTS["bug"]
