"""Where output goes: results on standard output, everything for humans alone on standard error.

With `--json` one JSON document is all that standard output gets.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO, cast

from pydantic import JsonValue
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from orchestrator.machine.standard_streams import writable
from workers.contract.errors import user_error
from workers.contract.printable import printable, printable_json

_QUIET_SECONDS = 1.0
"""A step that is over by then is not mentioned."""


class PrintableConsole(Console):
    """Rich's console, through which no text from data or files steers the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as Rich does, texts made printable."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(writable(printable(text), self.encoding), style)


@dataclass(frozen=True)
class Output:
    """The output of results: printed for a person or, with `is_json`, one JSON document."""

    is_json: bool = False
    notes: Console = field(default_factory=lambda: PrintableConsole(file=errors_for_humans()))

    def show(self, renderable: RenderableType) -> None:
        """Print a result for a person; nothing with `--json`."""
        if self.is_json:
            return
        if isinstance(renderable, str):
            sys.stdout.write(writable(printable(renderable), sys.stdout.encoding or "utf-8") + "\n")
            sys.stdout.flush()
        else:
            PrintableConsole().print(renderable)

    def note(self, text: str) -> None:
        """Print a remark for a person that is not a result."""
        self.notes.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Tell on standard error what takes its time: in place on a terminal, else as a line.

        What is over within a second is not told. Nothing may be shown meanwhile.
        """
        is_terminal, lock, state = self.notes.is_terminal, threading.Lock(), {"over": False}

        def tell_now() -> None:
            with lock:
                if not state["over"]:
                    state["told"] = True
                    self.notes.print(
                        f"{text} …",
                        end="" if is_terminal else "\n",
                        highlight=False,
                        markup=False,
                        no_wrap=is_terminal,
                        overflow="ellipsis" if is_terminal else None,
                        soft_wrap=not is_terminal,
                    )

        timer = threading.Timer(_QUIET_SECONDS, tell_now)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with lock:
                state["over"] = True
            if is_terminal and state.get("told"):
                self.notes.file.write(_ERASE_LINE)
                self.notes.file.flush()

    def document(self, value: JsonValue) -> None:
        """Print the JSON document; nothing without `--json`."""
        if self.is_json:
            text = json.dumps(_finite(value), indent=2, allow_nan=False)
            sys.stdout.write(printable_json(text) + "\n")
            sys.stdout.flush()


_ERASE_LINE = "\r\x1b[2K"


def terminal_width() -> int | None:
    """Return the columns of standard output; None where it is no terminal and COLUMNS is not set."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def tell(text: str) -> None:
    """Print a line for humans on standard error."""
    print(printable(text), file=errors_for_humans())  # a command's own output


def errors_for_humans() -> TextIO:
    """Return standard error such that a full disk or a closed terminal does not end a run."""
    return cast("TextIO", _Unfailing(sys.stderr))


class _Unfailing:
    """A stream that drops what cannot be written; a pipe that nobody reads still raises."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _losses_ignored():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _losses_ignored():
            self._stream.flush()


@contextlib.contextmanager
def full_disk_as_user_error() -> Iterator[None]:
    """Report a full disk like any other user error; what standard output still holds is dropped.

    Raises:
        UserError: No space is left where standard output goes, or a temporary file.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python would complain at its end
        raise user_error(
            f"cannot write any more: {error}",
            where=str(error.filename or "standard output"),
            mend="make room on that disk, and give the same command again",
        ) from error


@contextlib.contextmanager
def _losses_ignored() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def _finite(value: JsonValue) -> JsonValue:
    """Replace numbers that are not finite by null, as JSON has none for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
