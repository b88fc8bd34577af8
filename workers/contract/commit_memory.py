"""A view read again and again: what was decoded once is remembered, only new files are read.

A committed file has a unique name and never changes, so of each path the little that a reader needs
is kept, not the table. Size and time of a file are compared too: one damaged later is read again. A
damaged file is read at each look until it is whole; what compaction removed is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from workers.contract.commits import Commit, rank, warn_of_damage
from workers.contract.local_files import Mark
from workers.contract.parquet_file import DamagedFile
from workers.contract.store import Store

Value = TypeVar("Value")

_LISTINGS = 10
"""As in the store: how often a folder is listed anew because a listed file was merged meanwhile."""


class _Kept(NamedTuple, Generic[Value]):
    """What is remembered of one commit."""

    key: tuple[str, ...]
    rank: tuple[bool, str, str, str]
    value: Value | None


class _ReadFile(NamedTuple, Generic[Value]):
    """What is remembered of one file."""

    mark: Mark
    commits: list[_Kept[Value]]


class CommitMemory(Generic[Value]):
    """Looks at a view of facts whose ids do not depend on another view's (not `epochs`)."""

    def __init__(
        self, store: Store, view: str, reduce: Callable[[Sequence[Commit]], Sequence[Value | None]]
    ) -> None:
        """Remember what `reduce` makes of the commits of one file; None stands for one without rows."""
        self._store, self._view, self._reduce = store, view, reduce
        self._files: dict[str, _ReadFile[Value]] = {}
        self._first: dict[tuple[str, ...], Value] = {}

    def look(self) -> Mapping[tuple[str, ...], Value]:
        """Return what was kept of the first commit of each id, in the order of commits.

        The same object as before when nothing has changed.

        Raises:
            StoreError: The store cannot be read.
        """
        files, damages = self._read()
        warn_of_damage(damages)
        if files != self._files:
            self._files = files
            self._first = _first_of_each([kept for file in files.values() for kept in file.commits])
        return self._first

    def _read(self) -> tuple[dict[str, _ReadFile[Value]], dict[str, DamagedFile]]:
        """Return what the view's files hold now, and what is damaged."""
        files, answers = self._files, dict[str, list[_Kept[Value]] | DamagedFile | None]()
        for _ in range(_LISTINGS):
            marks = self._store.marks(self._view)
            paths = [path for path in sorted(marks) if self._store.is_rows(path)]
            files = {
                path: files[path]
                for path in paths
                if path in files and files[path].mark == marks[path]
            }
            new = [path for path in paths if path not in files]
            answers = dict(zip(new, self._store.each(self._decode, new), strict=True))
            files |= {
                path: _ReadFile(marks[path], answer)
                for path, answer in answers.items()
                if isinstance(answer, list)
            }
            if None not in answers.values():
                break
        return files, {
            path: answer for path, answer in answers.items() if isinstance(answer, DamagedFile)
        }

    def _decode(self, path: str) -> list[_Kept[Value]] | DamagedFile | None:
        commits = self._store.commits_in(self._view, path)
        if not isinstance(commits, list):
            return commits
        values = self._reduce(commits) if commits else []
        return [
            _Kept(commit.key, rank(commit), value)
            for commit, value in zip(commits, values, strict=True)
        ]


def _first_of_each(commits: Sequence[_Kept[Value]]) -> dict[tuple[str, ...], Value]:
    first: dict[tuple[str, ...], Value | None] = {}
    for kept in sorted(commits, key=lambda kept: kept.rank):
        first.setdefault(kept.key, kept.value)
    return {key: value for key, value in first.items() if value is not None}
