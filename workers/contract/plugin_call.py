"""Which plugin has the word: told to whoever watches this process, as a user's code may end it or never return."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from workers.contract.errors import Fault, shortened
from workers.contract.frozen import Frozen, Positive

IMPORT_SECONDS, CALL_SECONDS = 60.0, 600.0
"""How long a plugin may take before a sweep starts: to be imported, and to return what it is called for."""

_LONGEST_MESSAGE = 2000
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_SHOWN_KINDS = {"dataset": "data set"}
_watchers: list[Callable[[PluginCall | None], None]] = []


class PluginCall(Frozen):
    """A plugin that is being imported or called.

    Attributes:
        kind: As in the catalog.
        name: "package.module:function".
        where: The key that names it, with its file where that is known.
        is_import: It is imported, not called.
    """

    kind: str
    name: str
    where: str
    is_import: bool = False

    @property
    def seconds(self) -> Positive:
        """How long it may take before a sweep starts."""
        return IMPORT_SECONDS if self.is_import else CALL_SECONDS

    def ended(self, exit_code: int, last_words: str = "") -> Fault:
        """Build the fault of a plugin that ended its process: with a code, or minus a signal's number."""
        how = f"exit code {exit_code}" if exit_code >= 0 else _signal_name(-exit_code)
        said = f"; the last it said: {shortened(last_words, 200)}" if last_words else ""
        return Fault(
            f"the {self._shown} ended the process with {how} while it was {self._done}{said}",
            self.where,
            "take out what ends the process, such as os._exit or os.abort: return, or raise an error",
        )

    def too_long(self, seconds: float) -> Fault:
        """Build the fault of a plugin that does not return."""
        return Fault(
            f"the {self._shown} was still being {self._done} after {seconds:,.0f} s, and was ended",
            self.where,
            "let it return sooner; what takes long may be done once, and its result be kept in a file",
        )

    @property
    def _shown(self) -> str:
        return f"{_SHOWN_KINDS.get(self.kind, self.kind)} {self.name!r}"

    @property
    def _done(self) -> str:
        return "imported" if self.is_import else "called"


class PluginLeft(Exception):
    """A plugin raised what would have ended the process, such as SystemExit; the message names it."""


@contextlib.contextmanager
def watched(tell: Callable[[PluginCall | None], None]) -> Iterator[None]:
    """Have every plugin that is called in the block told before it is called, and None afterwards.

    For processes of their own: in a user's own process, as a notebook's, Ctrl-C is the user's.
    """
    _watchers.append(tell)
    try:
        yield
    finally:
        _watchers.remove(tell)


@contextlib.contextmanager
def having_the_word(call: PluginCall) -> Iterator[None]:
    """Watch the block as the call of a plugin; the folder and the handlers of signals stay as they are.

    Raises:
        PluginLeft: It raised SystemExit or the like, and is watched.
    """
    if not _watchers:
        yield
        return
    folder, handlers = _folder(), {number: signal.getsignal(number) for number in _SIGNALS}
    _tell(call)
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        raise PluginLeft(message_of(error)) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            os.chdir(folder)
        _tell(None)


def message_of(error: BaseException) -> str:
    """Return the type and text of what a plugin raised, whose text may itself raise."""
    if isinstance(error, PluginLeft):
        return str(error)
    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001  # a user's own class may raise anything
        text = f"(no text: its __str__ raised {type(other).__name__})"
    return shortened(f"{type(error).__name__}: {text}", _LONGEST_MESSAGE)


def _tell(call: PluginCall | None) -> None:
    for tell in _watchers:
        tell(call)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # a text, to go back to
    except OSError:  # it is gone
        return "/"


def _signal_name(number: int) -> str:
    known = {each.value: each.name for each in signal.Signals}
    return known.get(number, f"signal {number}")
