"""A child as its server sees it: start it, give it its next order, hear how an order ended, end it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from dataclasses import asdict
from typing import final

from workers.process.children.forked import (
    DONE,
    FINISHED,
    HELD_BACK,
    TAKEN,
    Pipes,
    Request,
    run_forked,
)

_TAKES_SECONDS = 5.0
"""A child that has not taken its next order by then is dying, or was stopped: the order is for another."""


def can_fork() -> bool:
    """Return whether a forked child may use TensorFlow on this system."""
    return sys.platform.startswith("linux")


@final
class Child:
    """A process that carries out one order at a time.

    Where forking is not safe it is a plain process, of which only the id is kept, so that no `Popen` has to
    wait for it, and carries out one order alone.

    Args:
        entry: The module whose `run_child(order path) -> exit code` carries out an order.
        request: The first order.

    Attributes:
        pid: Its process id.
        is_idle: Whether it waits for an order.
        tells_at: The file descriptors that are readable once it has something to tell.
    """

    def __init__(self, entry: str, request: Request) -> None:
        self._kind, self._is_told_to_end = request.kind, False
        self.is_idle = False
        self.tells_at: list[int] = []
        self._orders: list[int] = []
        if not can_fork():
            self.pid = _spawn(entry, request)
        elif request.kind:
            (orders, orders_in), (told_out, told) = os.pipe(), os.pipe()
            self._orders, self.tells_at = [orders_in], [told_out]
            self.pid = self._fork(entry, request, Pipes(orders, told))
            os.close(orders)
            os.close(told)
        else:
            self.pid = self._fork(entry, request, None)

    def _fork(self, entry: str, request: Request, pipes: Pipes | None) -> int:
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        pid = os.fork()
        if pid == 0:
            self._close()
            run_forked(entry, request, parent, pipes)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        return pid

    def takes(self, request: Request) -> bool:
        """Give it its next order; return False if it does not wait for one of this kind, or does not take it."""
        if not self.is_idle or not request.kind or request.kind != self._kind:
            return False
        try:
            os.write(self._orders[0], json.dumps(asdict(request)).encode() + b"\n")
        except OSError:  # it has died while it waited
            return False
        self.is_idle = self._hears(_TAKES_SECONDS) != TAKEN
        return not self.is_idle

    def signal(self, number: int) -> None:
        """Send it a signal, after which it carries out no further order."""
        if not self.is_idle:
            self._is_told_to_end = True
            os.kill(self.pid, number)

    def exit_code(self) -> int | None:
        """Return how its order ended (minus a signal's number where one ended it), once; None while it runs.

        Afterwards it waits for another, or is gone.
        """
        if self.is_idle:
            return None
        if self._hears(0) == FINISHED:
            self.is_idle = not self._is_told_to_end
            if self._is_told_to_end:
                self.end()
            return DONE
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._close()
        return os.waitstatus_to_exitcode(status)

    def _hears(self, seconds: float) -> bytes:
        """Return what it tells within a time, nothing if it does not; what it has closed is no longer listened to."""
        if not select.select(self.tells_at, [], [], seconds)[0]:
            return b""
        told = os.read(self.tells_at[0], 1)
        if not told:
            os.close(self.tells_at.pop())
        return told

    def end(self) -> None:
        """Kill it, with what it has built."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._close()

    def _close(self) -> None:
        for descriptor in (*self._orders, *self.tells_at):
            os.close(descriptor)
        self._orders, self.tells_at = [], []


def _spawn(entry: str, request: Request) -> int:
    command = [sys.executable, "-P", "-m", "workers.process.children.fork_server", entry]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [*command, request.order, str(os.getpid())],
        {**os.environ, **request.environment},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, request.log, log_flags, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=HELD_BACK,
        setsigdef=HELD_BACK,
    )
