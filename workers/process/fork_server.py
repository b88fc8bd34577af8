"""A process that has imported TensorFlow once and forks a child for each attempt.

Importing TensorFlow costs seconds, a fork hundredths of one. The server runs no TensorFlow op and
starts no thread, so that its children may. Where forking is not safe (macOS) the child is a plain
process. No process outlives its parent: the server ends its child when its standard input closes,
and the kernel ends the child when the server dies. So what asks every process of a job to end must
not end the server, whose child is to save: a child alone answers SIGTERM.

Protocol, one JSON document per line. In: {"order": path, "log": path, "environment": {…}}, or
{"signal": number} for the running child. Out: {"ready": seconds}, {"pid": number}, {"exit": code}
(minus the signal's number where a signal ended it).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from workers.process.code_digest import running_code
from workers.process.code_origin import running_origin
from workers.process.pinning import CORES_VARIABLE, pin_to_cores
from workers.process.surroundings import without

_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_CLOSED: dict[str, object] = {"closed": True}
_NOT_FOR_THE_SERVER = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""The driver answers them, and of a batch system's the child too; the server ends when it is closed."""
_HELD_BACK = {signal.SIGTERM}
"""Waits from a child's first moment until the child has a handler for it."""


@dataclass(frozen=True)
class Request:
    """One attempt: the order's file, the log's file, and the child's environment variables."""

    order: str
    log: str
    environment: Mapping[str, str]


def can_fork() -> bool:
    """Return whether a forked child may use TensorFlow on this system."""
    return sys.platform.startswith("linux")


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
    child: int | None = None
    events = _Events()
    while (request := events.next(is_polling=child is not None)) != _CLOSED:
        if "signal" in request and child is not None:
            os.kill(child, int(str(request["signal"])))
        elif "order" in request:
            child = start_child(entry, Request(**request))  # type: ignore[arg-type]  # the slot's own words
            _send(answers, {"pid": child})
        exit_code = None if child is None else _exit_code(child)
        if exit_code is not None:
            child = None
            _send(answers, {"exit": exit_code})
    if child is not None:
        os.kill(child, signal.SIGKILL)


def start_child(entry: str, request: Request) -> int:
    """Start the child of one attempt and return its process id."""
    if not can_fork():
        return _start_process(entry, request)
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    pid = os.fork()
    if pid == 0:
        _run_forked(entry, request, parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
    return pid


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent dies, or at once if the parent is dead already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _run_forked(entry: str, request: Request, parent: int) -> NoReturn:
    code = 1
    try:
        end_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ.update(request.environment)
        tempfile.tempdir = None  # else the server's, if that has looked it up
        pin_to_cores(os.environ.get(CORES_VARIABLE, ""))
        _redirect(request.log)
        code = importlib.import_module(entry).run_child(request.order)
    except BaseException:  # noqa: BLE001  # it belongs in the log, not in the server
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exc()
    finally:
        try:
            with contextlib.suppress(OSError, ValueError):  # on a full disk the log ends here
                sys.stdout.flush()
                sys.stderr.flush()
        finally:
            os._exit(code)  # whatever happens, the child must not continue as a second server


def _redirect(log: str) -> None:
    with Path(log).open("ab") as stream, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def _start_process(entry: str, request: Request) -> int:
    """Start a child without forking; only its id is kept, so that no `Popen` has to wait for it."""
    command = [sys.executable, "-P", "-m", "workers.process.fork_server", entry, request.order]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [*command, str(os.getpid())],
        {**os.environ, **request.environment},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, request.log, log_flags, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=_HELD_BACK,
        setsigdef=_HELD_BACK,
    )


def _run_spawned(entry: str, order: str, parent: int) -> int:
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pin_to_cores(os.environ.get(CORES_VARIABLE, ""))
    code: int = importlib.import_module(entry).run_child(order)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not end it while Python does
    return code


class _Events:
    """Requests from standard input, one at a time; an empty one when there is none yet."""

    def __init__(self) -> None:
        self._rest = b""

    def next(self, *, is_polling: bool) -> dict[str, object]:
        while b"\n" not in self._rest:
            if not select.select([0], [], [], _POLL_SECONDS if is_polling else None)[0]:
                return {}
            part = os.read(0, 65536)
            if not part:
                return _CLOSED
            self._rest += part
        line, self._rest = self._rest.split(b"\n", maxsplit=1)
        request: dict[str, object] = json.loads(line)
        return request


def _exit_code(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return None if pid == 0 else os.waitstatus_to_exitcode(status)


def _send(answers: int, message: dict[str, float]) -> None:
    os.write(answers, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(_run_spawned(sys.argv[1], sys.argv[2], int(sys.argv[3])))
