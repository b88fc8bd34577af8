"""A node's notice of its end is heard, whatever asking for it does."""

from __future__ import annotations

import itertools
import threading

import pytest

from orchestrator.slots import leaving
from orchestrator.slots.leaving import Notice


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(leaving, "_ASK_SECONDS", 0.01)


def test_a_notice_is_heard_once_it_is_there():
    """Though the cluster did not answer at first; nobody asks again afterwards."""
    heard, asked = threading.Event(), itertools.count()

    def is_told() -> bool:
        number = next(asked)
        if number < 3:
            raise OSError("no answer")
        if number == 4:
            heard.set()
        return number == 4

    notice = Notice(is_told)
    assert heard.wait(10)
    notice.close()
    assert notice.is_given()
    assert next(asked) == 5


def test_without_a_notice_nothing_is_told():
    """However often it is asked for, and no thread is left in the end."""
    asked = threading.Event()

    def is_told() -> bool:
        asked.set()
        return False

    notice = Notice(is_told)
    assert asked.wait(10)
    notice.close()
    assert not notice.is_given()
    assert "notice" not in {thread.name for thread in threading.enumerate()}


def test_a_cluster_that_does_not_answer_holds_nobody_up(monkeypatch):
    """Neither who wants to know, nor the end."""
    monkeypatch.setattr(leaving, "_FAREWELL_SECONDS", 0.01)
    answered = threading.Event()
    notice = Notice(answered.wait)
    assert not notice.is_given()
    notice.close()
    answered.set()
