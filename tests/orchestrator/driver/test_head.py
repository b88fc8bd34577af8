"""A cluster without a head, or without a node with room, is lost after a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

import pytest

from orchestrator.driver.head import Head
from orchestrator.planning.fit import Node
from orchestrator.running.driver import ClusterLost
from workers.contract.sweep_spec import ResourcesSpec

GPU = [ResourcesSpec(gpus=1, cpus=1)]


def lost_after(
    head: Head,
    *,
    is_stopping: bool = False,
    seconds: float = 5.0,
    shunned: Collection[str] = (),
) -> str | None:
    """Check until the cluster is lost; None if it is not within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            head.check(GPU, is_stopping=is_stopping, shunned=shunned)
        except ClusterLost as lost:
            return str(lost)
        time.sleep(0.01)
    return None


def test_a_head_that_does_not_answer_is_lost():
    """It blocks for ever, and the check does not."""
    over = threading.Event()

    def block() -> list[Node]:
        over.wait()
        return []

    with Head(block, head_seconds=0.2) as head:
        assert "has not answered" in lost_after(head)
    over.set()


def test_a_head_that_fails_is_lost():
    """Whatever it raises."""

    def fail() -> list[Node]:
        raise RuntimeError

    with Head(fail, head_seconds=0.2) as head:
        assert "has not answered" in lost_after(head)


def test_a_head_that_nobody_asked_is_not_lost():
    """As long as this process was stopped, or its question not due, there was no silence."""
    with Head(lambda: [Node("n", cpus=1, gpus=1)], head_seconds=0.1) as head:
        assert lost_after(head, seconds=0.5) is None  # it is asked again after 5 s


def test_a_node_that_is_shunned_is_no_room():
    """Were it the last one, what is left would wait for ever."""
    with Head(lambda: [Node("n", cpus=1, gpus=1, node_id="id")], room_seconds=0.2) as head:
        head.wait_for_answer()
        assert lost_after(head, seconds=0.5) is None
        assert "no node that could hold a trial" in lost_after(head, shunned={"id"})


def test_a_cluster_without_room_is_waited_for_less_long_when_stopping():
    """A node may come back; who wants to leave does not wait for it."""
    small = [Node("n", cpus=4, gpus=0)]
    with Head(lambda: small, room_seconds=60, stopping_room_seconds=0.2) as head:
        assert lost_after(head, seconds=0.5) is None
        assert "no node" in lost_after(head, is_stopping=True)


def test_a_cluster_without_any_node_is_lost():
    """Its head may answer all the same."""
    with Head(list, room_seconds=0.2) as head:
        assert "no node" in lost_after(head)


def test_a_cluster_with_room_is_not_lost():
    """However little it says otherwise."""
    with Head(lambda: [Node("n", cpus=1, gpus=1)], room_seconds=0.1) as head:
        assert lost_after(head, seconds=0.5) is None


def test_after_a_failure_a_head_that_is_gone_is_told():
    """It had answered before; one that answers again is not lost."""
    answers = iter([[], []])
    with Head(lambda: next(answers), head_seconds=1.0) as head:
        head.wait_for_answer()
        with pytest.raises(ClusterLost, match="has not answered"):
            head.wait_for_answer()
