"""Works that this process shares with ones forked from it, so that every core has its part."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

_PATIENCE_SECONDS = 600.0
_MOST_WORKS = 255
"""As a work's place is one byte."""

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """Works that forked processes begin at once, one on each core but this process's own, which joins them in the end.

    Each takes the next work that none has begun. Where it cannot fork (outside Linux), or a process ends
    without a result, the work is done here: whatever is wrong with it is then told here.
    """

    def __init__(self, works: Sequence[Callable[[], Result]], num_cores: int | None = None) -> None:
        """Begin; the works see everything as it is now, and nothing that they change is seen here.

        Args:
            works: At most 255, whose results can be pickled.
            num_cores: All that this process may run on, by default.
        """
        if len(works) > _MOST_WORKS:
            raise ValueError(f"{len(works)} works, of at most {_MOST_WORKS}")
        self._works = works
        self._places, places = os.pipe()
        os.write(places, bytes(range(len(works))))
        os.close(places)
        self._answers: list[Connection[object, dict[int, Result]]] = []
        if sys.platform == "linux":
            cores = len(os.sched_getaffinity(0)) if num_cores is None else num_cores
            for _ in range(min(len(works), cores - 1)):
                self._answers.append(_begin(works, self._places, self._answers))

    def results(self) -> list[Result]:
        """Do what is left with the others, wait for them, and return the results, in the order of the works."""
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, self._places)
            for answers in self._answers:
                opened.enter_context(answers)
            opened.callback(os.read, self._places, _MOST_WORKS)  # where a work fails, no more begin
            found = {place: self._works[place]() for place in _taken(self._places)}
            for answers in self._answers:
                with contextlib.suppress(EOFError, OSError):
                    if answers.poll(_PATIENCE_SECONDS):
                        found |= answers.recv()
        return [
            found[place] if place in found else work() for place, work in enumerate(self._works)
        ]


def _taken(places: int) -> Iterator[int]:
    """Take the place of the next work as often as there is one; no two processes get the same."""
    while taken := os.read(places, 1):
        yield taken[0]


def _begin(
    works: Sequence[Callable[[], Result]],
    places: int,
    earlier: Sequence[Connection[object, dict[int, Result]]],
) -> Connection[object, dict[int, Result]]:
    context = get_context("fork")
    answers, ours = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(works, places, ours, [*earlier, answers]), daemon=True
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; ours only write to the terminal and read files, which the fork does not
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    ours.close()
    return answers


def _answer(
    works: Sequence[Callable[[], Result]],
    places: int,
    ours: Connection[dict[int, Result], object],
    of_parent: Sequence[Connection[object, dict[int, Result]]],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for answers in of_parent:  # else an answer that nobody reads any more would wait for ever
        answers.close()
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # a lock of the streams may be held by a thread that is not here
        sys.stdout = sys.stderr = nowhere
        found: dict[int, Result] = {}
        for place in _taken(places):
            with contextlib.suppress(Exception):
                found[place] = works[place]()
        with contextlib.suppress(Exception):
            ours.send(found)
    os._exit(0)
