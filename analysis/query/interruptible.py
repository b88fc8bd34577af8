"""Work in a thread of its own, so that Ctrl-C is heard at once whatever DuckDB is at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 0.4
_NAME = "query"


def interruptible(work: Callable[[], Result], interrupt: Callable[[], None]) -> Result:
    """Do the work and wait for it; on Ctrl-C interrupt it, and wait for it no longer than a moment.

    Raises:
        KeyboardInterrupt: It was asked for meanwhile; see `is_abandoned`.
        Exception: What the work raised.
    """
    answers: list[Result] = []
    raised: list[Exception] = []

    def call() -> None:
        try:
            answers.append(work())
        except Exception as error:  # noqa: BLE001  # carried to the calling thread
            raised.append(error)

    thread = threading.Thread(target=call, name=_NAME, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
    except KeyboardInterrupt:
        interrupt()
        thread.join(_GRACE_SECONDS)
        raise
    if raised:
        raise raised[0]
    return answers[0]


def is_abandoned() -> bool:
    """Whether work that was interrupted is still at it: Python cannot end in order before it has ended."""
    return any(thread.name == _NAME for thread in threading.enumerate())
