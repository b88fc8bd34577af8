"""How a run can be asked to drain: by signal here, or by a marker in the store from anywhere."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import JsonValue

from orchestrator.machine.processes import is_dead, process_space
from workers.contract.errors import StoreError
from workers.contract.file_names import FileNames

if TYPE_CHECKING:
    from workers.contract.store import Store

INTERRUPTED = "interrupted; the same command resumes"
EXIT_INTERRUPTED = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_LOOK_SECONDS = 2.0
"""The store is asked for the stop marker no more often, whoever wants to know, as slots do."""
_HANDLERS_LOST_SECONDS = 0.001


class RunControl:
    """A run of a sweep: its name in the store, and whether it was asked to stop."""

    def __init__(self, store: Store, sweep: str) -> None:
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._store, self._sweep = store, sweep
        self.signal_name: str | None = None
        self._reason: str | None = None
        self._is_marked = self._is_asked = False
        self._looked_at = -math.inf

    @property
    def is_stopping(self) -> bool:
        """Whether this run was asked to drain: by a signal, by `ask_to_stop`, or by `minima stop`.

        It is never taken back, as while the store that holds the marker is away.
        """
        if self._reason is not None or self._is_asked:
            return True
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            with suppress(StoreError):
                self._is_asked = self._store.read_bytes(self._stop_path) is not None
        return self._is_asked

    def ask_to_stop(self, reason: str) -> None:
        """Ask every slot of this run to drain, as soon as the store can be written; see `poll`."""
        if self._reason is None:
            self._reason = reason
        self.poll()

    def poll(self) -> None:
        """Write the stop marker if the store was out of reach before; to be called regularly."""
        if self._reason is not None and not self._is_marked:
            with suppress(StoreError):
                ask_to_stop(self._store, self._sweep, self.run_id, self._reason)
                self._is_marked = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Register the run and turn a signal into a drain; a second signal ends it at once."""
        forget_dead_runs(self._store)
        self._register()
        former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            with suppress(StoreError):
                self._store.remove(FileNames.run_path(self._sweep, self.run_id))

    def is_heard(self) -> bool:
        """Return whether this run can write to the store, by registering it once more."""
        with suppress(StoreError):
            self._register()
            return True
        return False

    def _register(self) -> None:
        owner: dict[str, JsonValue] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_space": process_space(),
            "started_at": self._started_at,
            "run_id": self.run_id,
        }
        self._store.write_json(FileNames.run_path(self._sweep, self.run_id), owner)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.signal_name is not None:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name
        self.ask_to_stop(self.signal_name)

    @property
    def _stop_path(self) -> str:
        return FileNames.stop_path(self._sweep, self.run_id)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 end the block as Ctrl-C does, before and after a run listens itself.

    Afterwards the signals are ignored: the command is exiting with the code it has.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _SIGNALS[1:]:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Hold signals back until the block is over, for code that would not survive them.

    A second signal interrupts at once.
    """
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    former = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if asked:  # however the block itself ended
            raise KeyboardInterrupt


def with_handlers_kept(function: Callable[[], None]) -> None:
    """Call, in a thread, a function that resets signal handlers, and restore ours at once.

    Raises:
        KeyboardInterrupt: A signal came meanwhile; the function is left running in its thread.
        Exception: Whatever the function raised.
    """
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    raised: list[Exception] = []

    def call() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001  # carried to the calling thread
            raised.append(error)

    thread = threading.Thread(target=call, name="with_handlers_kept", daemon=True)
    thread.start()
    is_over = False
    while not is_over:
        thread.join(_HANDLERS_LOST_SECONDS)
        is_over = not thread.is_alive()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if raised:
        raise raised[0]


def ask_to_stop(store: Store, sweep: str, run_id: str, reason: str) -> None:
    """Write the marker that the slots of one run look for."""
    asked_at = datetime.now(UTC).isoformat(timespec="seconds")
    store.write_json(FileNames.stop_path(sweep, run_id), {"reason": reason, "asked_at": asked_at})


def live_runs(store: Store, sweep: str) -> list[str]:
    """List the run ids of a sweep that are registered."""
    registered = filter(None, map(FileNames.run_parts, store.names("control")))
    return [run_id for name, run_id in registered if name == sweep]


def forget_dead_runs(store: Store) -> None:
    """Remove the registrations that killed drivers left behind, of any sweep, where we can tell."""
    for path in store.names("control"):
        if FileNames.run_parts(path) is None:
            continue
        owner = store.read_json(path)
        if isinstance(owner, dict):
            pid, space = owner.get("pid"), owner.get("process_space")
            if isinstance(pid, int) and isinstance(space, str) and is_dead(pid, space):
                store.remove(path)
