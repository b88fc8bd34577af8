"""A user's mistake as a value: what is wrong, where it came from, how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST_TOLD = 20


@dataclass(frozen=True)
class Fault:
    """One thing wrong with what the user gave.

    Attributes:
        what: The fault, with the value seen.
        where: The file and key, option or place it came from.
        mend: What to do about it.
    """

    what: str
    where: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  mend:  {self.mend}"


class UserError(Exception):
    """All faults found in one input, told at once; the command exits with 2.

    `faults` has them all, the message the first of very many and how many more there are.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        told = [str(fault) for fault in self.faults[:_MOST_TOLD]]
        if len(self.faults) > _MOST_TOLD:
            told.append(f"… and {len(self.faults) - _MOST_TOLD:,} more faults")
        super().__init__("\n\n".join(told))

    def __reduce__(self) -> tuple[type[UserError], tuple[tuple[Fault, ...]]]:
        return UserError, (self.faults,)  # else a copy would be made of the message


class StoreError(Exception):
    """The store could not be read or written; the message names the path and the cause."""


class UnreadableFile(StoreError):
    """A file of the store that will not be readable a moment later either: a folder, a closed file, a loop."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.reason = reason

    def __str__(self) -> str:
        return ": ".join(self.args)


class Drained(Exception):
    """Work was asked to stop, has saved what it had, and leaves."""


def user_error(what: str, *, where: str, mend: str) -> UserError:
    """Build the error of a single fault."""
    return UserError([Fault(what, where, mend)])


def shortened(text: str, most: int = 60) -> str:
    """Cut a text that would fill a message."""
    return text if len(text) <= most else f"{text[:most]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known word, then all of them, for the `mend` line."""
    options = sorted(known)
    near = difflib.get_close_matches(shortened(name), options, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(options)}."
