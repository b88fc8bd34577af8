"""Work done beside this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import pytest

from analysis.report.beside import Beside

forking = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


@forking
def test_work_is_done_in_another_process_at_once():
    """While this one does its own; what the work changes is seen by its result alone."""
    seen = []
    works = [
        Beside(lambda place=place: (seen.append(place), os.getpid(), place)[1:])
        for place in range(3)
    ]
    found = [work.result() for work in works]
    assert [place for _, place in found] == [0, 1, 2]
    assert len({os.getpid(), *(pid for pid, _ in found)}) == 4
    assert seen == []


@forking
@pytest.mark.parametrize(
    "end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: sys.exit(3), lambda: 1 / 0]
)
def test_what_ends_without_a_result_is_done_here(end, capfd):
    """By whatever end; nothing is said of it."""
    here = os.getpid()
    work = Beside(lambda: end() if os.getpid() != here else "here")
    assert work.result() == "here"
    assert capfd.readouterr() == ("", "")


@forking
def test_what_cannot_be_sent_is_done_here():
    """A result that is no value."""
    assert Beside(lambda: lambda: 7).result()() == 7


def test_what_is_wrong_with_the_work_is_told_here():
    """As if it had been done here in the first place."""
    with pytest.raises(ZeroDivisionError):
        Beside(lambda: 1 / 0).result()


def test_without_forks_the_work_waits_until_it_is_asked_for(monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(sys, "platform", "darwin")
    done = []
    work = Beside(lambda: done.append(os.getpid()))
    assert not done
    work.result()
    assert done == [os.getpid()]


@forking
def test_an_interrupt_of_the_terminal_leaves_the_work_alone():
    """It reaches every process of the terminal; this one decides."""
    work = Beside(lambda: (time.sleep(1.0), "whole")[1])
    time.sleep(0.5)
    (child,) = [process for process in multiprocessing.active_children() if process.is_alive()]
    os.kill(child.pid, signal.SIGINT)
    assert work.result() == "whole"
