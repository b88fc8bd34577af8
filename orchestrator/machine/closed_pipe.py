"""Output whose reader has left, as in `minima query … | head`: the command leaves quietly."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CLOSED_PIPE = 128 + int(signal.SIGPIPE)
"""141: what a shell reports of a program ended by SIGPIPE, so that `set -o pipefail` scripts know it.

The signal itself stays ignored: it would end a run when any socket of Ray or of a store closes.
"""


@contextmanager
def quiet_when_closed() -> Iterator[None]:
    """Exit with 141 and no message once standard output or error is a pipe that nobody reads."""
    outputs = [os.dup(output) for output in (1, 2)]  # rich may replace them
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # else the interpreter would, and complain
    except (BrokenPipeError, SystemExit) as error:
        if not (_comes_from_a_broken_pipe(error) and _is_any_closed(outputs)):
            raise
        _send_nowhere()
        sys.exit(EXIT_CLOSED_PIPE)
    finally:
        for output in outputs:
            os.close(output)


def _comes_from_a_broken_pipe(error: BaseException) -> bool:
    """Return whether a pipe broke; typer and rich turn that error into an exit with 1."""
    return isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError)


def _is_any_closed(outputs: list[int]) -> bool:
    """Return whether one of these has lost its reader."""
    poll = select.poll()
    for output in outputs:
        poll.register(output, 0)  # errors are reported whether asked for or not
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _send_nowhere() -> None:
    """Discard what is still buffered."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
