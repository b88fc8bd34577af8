"""The store: the only truth, and with `FileNames` the only owner of file names.

A view's rows live as Parquet in a folder of its name. A commit publishes a unique name; readers
keep the first per id, so two writers may repeat an attempt and never corrupt one. Of `epochs` they
keep the rows of the attempt whose trial was kept; the epochs of a trial not yet committed are unseen.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pydantic import JsonValue

from workers.contract import filesystem
from workers.contract.commits import (
    DERIVED_VIEWS,
    Commit,
    check_key,
    decode_commits,
    first_of_each,
    of_kept_attempts,
    rank,
    warn_of_damage,
)
from workers.contract.errors import UnreadableFile
from workers.contract.file_names import FileNames
from workers.contract.local_files import Mark
from workers.contract.parquet_file import DamagedFile, encode, names_key
from workers.contract.view_rows import ViewRows

Result = TypeVar("Result")

_THREADS = 8

_FEW = 50
"""Files of a folder that are taken in turn, as threads would cost more than they save."""

_LISTINGS = 10
"""How often a folder is listed anew because a listed file was merged into another meanwhile."""


def new_attempt_id(now: datetime) -> str:
    """Return a unique name for an attempt; names sort by the time they were made."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Store(FileNames):
    """Reads and commits records under one root. See the module's rules."""

    def __init__(self, root: filesystem.Root) -> None:
        self.root = root

    @classmethod
    def open(cls, uri: str) -> Store:
        """Open a store by local path, s3:// or gs:// URI, without touching it.

        Raises:
            UserError: The URI is not one of a store.
        """
        return cls(filesystem.open_root(uri))

    @property
    def uri(self) -> str:
        """The root, as every process is told it."""
        return self.root.uri

    # Facts ------------------------------------------------------------------------------------

    def commit(self, view: str, key: tuple[str, ...], attempt_id: str, rows: pa.Table) -> str:
        """Publish the rows of one id under a unique name, durable on return.

        Raises:
            StoreError: The store cannot be written; nothing is published then.
            ValueError: The rows are not of that id, or it cannot be a file's name (our own bug).
        """
        check_key(view, key, rows)
        path = self.rows_path(view, key, attempt_id)
        content = encode(view, rows, committed_at=_now(), attempt_id=attempt_id)
        filesystem.publish(self.root, path, content)
        return path

    def commits(self, view: str) -> list[Commit]:
        """Read every sound commit of a view, the first of each id first; damaged files are warned of.

        Raises:
            StoreError: The store cannot be read.
        """
        return self._commits(view, self.is_rows)

    def commits_of(self, view: str, first_key: str) -> list[Commit]:
        """Read the sound commits of a view whose key begins so, as `commits` does, and little else.

        Raises:
            StoreError: The store cannot be read.
        """

        def is_wanted(path: str) -> bool:
            return self.is_compacted(path) or self.is_rows_of(path, (first_key,))

        found = self._commits(view, is_wanted, first_key)
        return [commit for commit in found if commit.key[0] == first_key]

    def _commits(
        self, view: str, is_wanted: Callable[[str], bool], first_key: str | None = None
    ) -> list[Commit]:
        beginnings = ("",) if first_key is None else self.beginnings_of_rows(first_key)
        for _ in range(_LISTINGS):
            listed = filesystem.names(self.root, view, beginnings=beginnings)
            paths = [path for path in listed if is_wanted(path)]
            decoded = self.each(lambda path: self.commits_in(view, path, first_key), paths)
            if None not in decoded:
                break
        warn_of_damage(
            {
                path: found
                for path, found in zip(paths, decoded, strict=True)
                if isinstance(found, DamagedFile)
            }
        )
        found = [commit for commits in decoded if isinstance(commits, list) for commit in commits]
        return sorted(found, key=rank)

    def commits_in(
        self, view: str, path: str, first_key: str | None = None
    ) -> list[Commit] | DamagedFile | None:
        """Read the commits of one file; None when there is none, what is wrong when it is damaged.

        The one place where a file of a view is judged before it is believed. A merged file that does
        not name `first_key` has none of its commits and is not judged: it may hold a million rows.

        Raises:
            StoreError: The store cannot be read.
        """
        try:
            content = filesystem.read(self.root, path)
        except UnreadableFile as error:
            return DamagedFile(error.reason)
        if content is None:
            return None
        if first_key is not None and self.is_compacted(path) and not names_key(content, first_key):
            return []
        return decode_commits(view, path, content)

    def read(self, view: str) -> pa.Table:
        """Read a view: of every id the rows committed first; of a derived view all rows."""
        return self.rows(view).table()

    def rows(self, view: str) -> ViewRows:
        """Find the rows of a view as `read` does, to be decoded as far as they are asked for.

        Raises:
            StoreError: The store cannot be read.
        """
        commits = self.commits(view) if view in DERIVED_VIEWS else self.winners(view).values()
        return ViewRows(view, commits)

    def winners(self, view: str) -> dict[tuple[str, ...], Commit]:
        """Return the first commit of each id; of epochs that of the attempt whose trial was kept."""
        return self.winners_among(view, self.commits(view))

    def winners_among(self, view: str, commits: Sequence[Commit]) -> dict[tuple[str, ...], Commit]:
        """Return what `winners` does, of commits of the view that were read before, in their order."""
        if view == "epochs":
            commits = of_kept_attempts(commits, self.winners("trials"))
        return first_of_each(commits)

    def replace_derived(self, view: str, sweep: str, rows: pa.Table) -> bytes:
        """Write the derived rows of one sweep in place of the former ones; return the file's content."""
        content = encode(view, rows, committed_at=_now(), attempt_id="")
        filesystem.publish(self.root, self.derived_path(view, sweep), content)
        return content

    # Documents --------------------------------------------------------------------------------

    def write_json(self, path: str, value: JsonValue) -> None:
        """Publish a JSON document."""
        filesystem.publish(self.root, path, json.dumps(value, indent=1, sort_keys=True).encode())

    def read_json(self, path: str) -> JsonValue:
        """Read a JSON document; None when there is none, or when it cannot be read as JSON."""
        try:
            content = filesystem.read(self.root, path)
            value: JsonValue = None if content is None else json.loads(content)
            return value
        except (
            ValueError,
            RecursionError,
            UnreadableFile,
        ):  # no JSON, nested without end, a folder
            return None

    def names(
        self, folder: str, *, recursive: bool = False, beginnings: tuple[str, ...] = ("",)
    ) -> list[str]:
        """List the finished files of a folder whose names begin in one of these ways, by path below the root."""
        return filesystem.names(self.root, folder, recursive=recursive, beginnings=beginnings)

    def marks(self, folder: str) -> dict[str, Mark]:
        """List the finished files of a folder with size and time, which change when the content does."""
        return filesystem.marks(self.root, folder)

    def read_bytes(self, path: str) -> bytes | None:
        """Read a file; None when there is none."""
        return filesystem.read(self.root, path)

    def write_bytes(self, path: str, content: bytes) -> None:
        """Publish a file."""
        filesystem.publish(self.root, path, content)

    def each(self, function: Callable[[str], Result], paths: Sequence[str]) -> list[Result]:
        """Apply a function that reads or removes one file to each path; the results in that order.

        In threads where much of the time is waiting.
        """
        if self.root.local is not None and len(paths) <= _FEW:
            return [function(path) for path in paths]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(function, paths))

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        filesystem.remove(self.root, path)

    def local_path(self, path: str) -> Path | None:
        """Return the place of a file on this machine; None on object storage."""
        return None if self.root.local is None else self.root.local / path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
