"""Work done beside this process by one that is forked from it, so that a second core has its share."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar, cast

_PATIENCE_SECONDS = 600.0

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """Work that a forked process begins at once.

    Where it cannot fork (outside Linux), or ends without a result, the work is done here when its result is asked
    for: whatever is wrong with it is then told here.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        """Begin; the work sees everything as it is now, and nothing that it changes is seen here."""
        self._work = work
        self._answers = _begin(work) if sys.platform == "linux" else None

    def result(self) -> Result:
        """Wait for the work to end and return its result, which can be pickled."""
        if self._answers is not None:
            with contextlib.closing(self._answers), contextlib.suppress(EOFError, OSError):
                if self._answers.poll(_PATIENCE_SECONDS):
                    return cast("Result", self._answers.recv())
        return self._work()


def _begin(work: Callable[[], object]) -> Connection[object, object]:
    context = get_context("fork")
    answers, ours = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, ours), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; ours only write to the terminal and read files, which the fork does not
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    ours.close()
    return answers


def _answer(work: Callable[[], object], ours: Connection[object, object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # a lock of the streams may be held by a thread that is not here
        sys.stdout = sys.stderr = nowhere
        with contextlib.suppress(Exception):
            ours.send(work())
    os._exit(0)
