"""What a child process does: its order, and further ones of the same kind, in its own environment.

A child whose order is done waits for the next one, with all that it has built and compiled, unless its
order wants a process of its own. It ends after whatever is not done: a failure, a stop. While it waits,
SIGTERM is held back for the order to come, whichever of its threads the system gives it to.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from workers.process.pinning import CORES_VARIABLE, pin_to_cores

HELD_BACK = {signal.SIGTERM}
"""Waits from a child's first moment, and between orders, until the child has a handler for it."""
DONE = 0
"""The exit code of an order that is done."""
TAKEN, FINISHED = b"t", b"f"
"""What a child tells: that it has its next order, and that an order is done."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """One attempt.

    Attributes:
        order: The order's file.
        log: The log's file.
        environment: The child's environment variables.
        kind: One child may carry out orders of one kind in turn; empty for a child of its own.
    """

    order: str
    log: str
    environment: Mapping[str, str]
    kind: str = ""


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent dies, or at once if the parent is dead already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


@dataclass(frozen=True)
class Pipes:
    """A child's ends of the pipes between it and its server.

    Attributes:
        orders: Where further orders are read, as lines of JSON, until it closes.
        told: Where `FINISHED` and `TAKEN` are written.
    """

    orders: int
    told: int


def run_forked(entry: str, request: Request, parent: int, pipes: Pipes | None) -> NoReturn:
    """Carry out an order, and as long as they are done those that follow, and exit with the last one's code.

    Args:
        entry: The module whose `run_child(order path) -> exit code` carries out an order.
        request: The first order.
        parent: Process id of the server, which this process does not outlive.
        pipes: To hear of further orders; None where there are none.
    """
    code = 1
    try:
        end_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = _carry_out(entry, request)
        while code == DONE and pipes is not None:
            following = _next(pipes)
            if following is None:
                break
            code = 1  # of whatever goes wrong from here on
            code = _carry_out(entry, following)
    except BaseException:  # noqa: BLE001  # it belongs in the log, not in the server
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exc()
    finally:
        try:
            _flush()
        finally:
            os._exit(code)  # whatever happens, the child must not continue as a second server


def run_spawned(entry: str, order: str, parent: int) -> int:
    """Carry out an order in a process that was started for it alone; return its exit code."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pin_to_cores(os.environ.get(CORES_VARIABLE, ""))
    code: int = importlib.import_module(entry).run_child(order)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not end it while Python does
    return code


def _carry_out(entry: str, request: Request) -> int:
    _redirect(request.log)
    os.environ.update(request.environment)
    tempfile.tempdir = None  # else the server's, or that of the order before, if that was looked up
    pin_to_cores(os.environ.get(CORES_VARIABLE, ""))
    code: int = importlib.import_module(entry).run_child(request.order)
    return code


def _next(pipes: Pipes) -> Request | None:
    """Tell that an order is done and wait for the next; None when there is none to come."""
    signal.pthread_sigmask(
        signal.SIG_BLOCK, HELD_BACK
    )  # for this thread; the libraries' may still get it
    for number in HELD_BACK:
        signal.signal(number, _hand_to_this_thread)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _flush()
    _redirect(os.devnull)  # the log is closed, and what it did not take goes nowhere
    _flush()
    line = b""
    try:
        os.write(pipes.told, FINISHED)
        while not line.endswith(b"\n"):
            part = os.read(pipes.orders, 65536)
            if not part:
                return None
            line += part
        os.write(pipes.told, TAKEN)
    except OSError:  # the order has closed what it did not open
        return None
    return Request(**json.loads(line))


def _hand_to_this_thread(number: int, _: FrameType | None) -> None:
    """Keep a signal for the handler to come: Python runs this in the main thread, which holds it back."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def _redirect(log: str) -> None:
    with Path(log).open("ab") as stream, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):  # on a full disk the log ends here
        sys.stdout.flush()
        sys.stderr.flush()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
