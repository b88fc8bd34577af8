"""Works shared with processes beside this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from analysis.report.beside import Beside

forking = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


def _seen(seen, place, seconds=0.2):
    """Make a work that takes a while, and tells its place and its process."""

    def work():
        seen.append(place)
        time.sleep(seconds)
        return place, os.getpid()

    return work


@forking
def test_works_are_begun_at_once_on_every_other_core():
    """While this one does its own; what a work changes is seen by its result alone."""
    seen = []
    works = Beside([_seen(seen, place, 0.0) for place in range(5)], num_cores=4)
    time.sleep(1.0)
    found = works.results()
    assert [place for place, _ in found] == [0, 1, 2, 3, 4]
    assert os.getpid() not in {pid for _, pid in found}
    assert seen == []


@forking
def test_this_process_joins_them():
    """Each work is done once, and the results stand in the order of the works."""
    seen = []
    found = Beside([_seen(seen, place) for place in range(6)], num_cores=2).results()
    assert [place for place, _ in found] == [0, 1, 2, 3, 4, 5]
    pids = [pid for _, pid in found]
    assert len(set(pids)) == 2
    assert pids.count(os.getpid()) == len(seen) > 0


@forking
def test_a_result_may_be_larger_than_a_pipe():
    """The process beside goes on with the next while this one does not listen."""
    works = Beside([lambda: bytes(10**6) for _ in range(4)], num_cores=2)
    time.sleep(1.0)
    places = os.read(works._places, 100)
    assert places == b""
    assert [len(each) for each in works.results()] == [10**6] * 4


@forking
@pytest.mark.parametrize(
    "end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: sys.exit(3), lambda: 1 / 0]
)
def test_what_ends_without_a_result_is_done_here(end, capfd):
    """By whatever end; nothing is said of it, and what else that process had done is not lost."""
    here = os.getpid()
    works = Beside(
        [lambda: "first", lambda: end() if os.getpid() != here else "here", lambda: "last"],
        num_cores=2,
    )
    time.sleep(1.0)
    assert works.results() == ["first", "here", "last"]
    assert capfd.readouterr() == ("", "")


@forking
def test_one_work_that_fails_beside_costs_no_other():
    """It alone is done again."""
    here = os.getpid()

    def work(place):
        if place == 1 and os.getpid() != here:
            raise OSError
        return os.getpid()

    works = Beside([lambda place=place: work(place) for place in range(4)], num_cores=2)
    time.sleep(1.0)
    pids = works.results()
    assert [pid == here for pid in pids] == [False, True, False, False]


def _descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


@forking
def test_a_work_that_fails_here_ends_all():
    """No further one is begun, and nothing stays open."""
    begun = multiprocessing.get_context("fork").Value("i", 0)
    before, here = _descriptors(), os.getpid()

    def work():
        with begun.get_lock():
            begun.value += 1
        time.sleep(0.3)
        if os.getpid() == here:
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        Beside([work] * 100, num_cores=2).results()
    time.sleep(1.0)
    assert begun.value < 8
    assert _descriptors() == before
    assert not multiprocessing.active_children()


@forking
def test_what_nobody_asks_for_ends_by_itself():
    """Though its result is larger than a pipe, and whatever else was begun after it."""
    large = [lambda: (time.sleep(0.3), bytes(10**6))[1]] * 4
    works, others = Beside(large, num_cores=3), Beside(large, num_cores=2)
    time.sleep(2.5)
    children = multiprocessing.active_children()
    assert len(children) == 3
    for each in (*works._answers, *others._answers):
        each.close()
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


@forking
def test_as_many_processes_as_this_one_has_cores(monkeypatch):
    """Not as the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    alone, here = Beside([os.getpid] * 3), os.getpid()
    assert alone.results() == [here] * 3


@forking
def test_what_cannot_be_sent_is_done_here():
    """A result that is no value."""
    works = Beside([lambda: lambda: 7], num_cores=2)
    time.sleep(0.5)
    assert works.results()[0]() == 7


def test_what_is_wrong_with_a_work_is_told_here():
    """As if it had been done here in the first place."""
    with pytest.raises(ZeroDivisionError):
        Beside([lambda: 1 / 0]).results()


@pytest.mark.parametrize(("platform", "num_cores"), [("darwin", 2), ("linux", 1)])
def test_without_forks_works_wait_until_they_are_asked_for(monkeypatch, platform, num_cores):
    """As on macOS, and on one core."""
    monkeypatch.setattr(sys, "platform", platform)
    done = []
    works = Beside([lambda: done.append(os.getpid())], num_cores)
    assert not done
    works.results()
    assert done == [os.getpid()]


def test_more_works_than_places_are_refused():
    """Before any is begun."""
    with pytest.raises(ValueError, match="256 works, of at most 255"):
        Beside([int] * 256)


@forking
def test_an_interrupt_of_the_terminal_leaves_works_alone():
    """It reaches every process of the terminal; this one decides."""
    works = Beside([lambda: (time.sleep(1.0), os.getpid())[1]], num_cores=2)
    time.sleep(0.5)
    (child,) = [process for process in multiprocessing.active_children() if process.is_alive()]
    os.kill(child.pid, signal.SIGINT)
    assert works.results() == [child.pid]
