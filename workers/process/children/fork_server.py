"""A process that has imported TensorFlow once and forks children that carry out attempts.

Importing TensorFlow costs seconds, a fork hundredths of one. The server runs no TensorFlow op and
starts no thread, so that its children may. Where forking is not safe (macOS) a child is a plain
process. No process outlives its parent: the server ends its child when its standard input closes,
and the kernel ends the child when the server dies. So what asks every process of a job to end must
not end the server, whose child is to save: a child alone answers SIGTERM.

A child carries out one order after the other as long as they are of one kind and are done. What it built
for one it has for the next.

Protocol, one JSON document per line. In: {"order": path, "log": path, "environment": {…}, "kind": text}, or
{"signal": number} for the running child. Out: {"ready": seconds}, {"pid": number}, {"exit": code}
(minus the signal's number where a signal ended it).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time

from workers.process.children.child import Child, can_fork
from workers.process.children.forked import Request, run_spawned
from workers.process.code_digest import running_code
from workers.process.code_origin import running_origin
from workers.process.surroundings import without

_POLL_SECONDS = 0.05
_IDLE_SECONDS = 30.0
"""A child that has waited for so long ends: others may need its memory."""
_CLOSED: dict[str, object] = {"closed": True}
_NOT_FOR_THE_SERVER = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""The driver answers them, and of a batch system's the child too; the server ends when it is closed."""


def serve(entry: str) -> None:
    """Answer requests from standard input until it closes.

    Args:
        entry: The module whose `run_child(order path) -> exit code` a child runs. SIGTERM is blocked
            until that lets it in, so that an early one is neither lost nor the child's end.
    """
    started = time.monotonic()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is not an answer
    for number in _NOT_FOR_THE_SERVER:
        signal.signal(number, signal.SIG_IGN)
    running_code()  # before the code is imported that they stand for; children inherit both
    running_origin()
    if can_fork():
        _import(entry)
    _send(answers, {"ready": round(time.monotonic() - started, 3)})
    _answer_requests(entry, answers)


def _import(entry: str) -> None:
    """Import what children need, in two thirds of the time: no garbage is looked for, no pictures are drawn."""
    gc.disable()
    with without("matplotlib"):  # which Keras imports where it can
        importlib.import_module(entry)
    gc.freeze()  # children, which share all this, look through their own alone
    gc.enable()


def _answer_requests(entry: str, answers: int) -> None:
    child: Child | None = None
    events = _Events()
    while (request := events.next(child)) != _CLOSED:
        if "signal" in request and child is not None:
            child.signal(int(str(request["signal"])))
        elif "order" in request:
            child = _child_for(Request(**request), child, entry)  # type: ignore[arg-type]  # the slot's own words
            _send(answers, {"pid": child.pid})
        elif child is not None and child.is_idle:
            child.end()
            child = None
        exit_code = None if child is None else child.exit_code()
        if child is not None and exit_code is not None:
            child = child if child.is_idle else None
            _send(answers, {"exit": exit_code})
    if child is not None:
        child.end()


def _child_for(request: Request, idle: Child | None, entry: str) -> Child:
    """Return the child that waits for such an order, else a new one in its place."""
    if idle is not None:
        if idle.takes(request):
            return idle
        idle.end()
    return Child(entry, request)


class _Events:
    """Requests from standard input, one at a time; an empty one when there has been none for a time."""

    def __init__(self) -> None:
        self._rest = b""

    def next(self, child: Child | None) -> dict[str, object]:
        """Wait for a request; while a child carries out an order, for what that tells too."""
        told, timeout = [], None
        if child is not None:
            told = [] if child.is_idle else child.tells_at
            timeout = _IDLE_SECONDS if child.is_idle else _POLL_SECONDS
        while b"\n" not in self._rest:
            ready, _, _ = select.select([0, *told], [], [], timeout)
            if 0 not in ready:
                return {}
            part = os.read(0, 65536)
            if not part:
                return _CLOSED
            self._rest += part
        line, self._rest = self._rest.split(b"\n", maxsplit=1)
        request: dict[str, object] = json.loads(line)
        return request


def _send(answers: int, message: dict[str, float]) -> None:
    os.write(answers, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(run_spawned(sys.argv[1], sys.argv[2], int(sys.argv[3])))
