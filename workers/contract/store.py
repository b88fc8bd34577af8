"""The store: the only truth, and the only owner of file names.

A view's rows live as Parquet in a folder of its name. A commit publishes a unique name; readers
keep the first per id, so two writers may repeat an attempt and never corrupt one.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue

from workers.contract import filesystem
from workers.contract.errors import user_error
from workers.contract.parquet_file import CommittedFile, DamagedFile, decode, encode
from workers.contract.schema import VIEWS

KEY_COLUMNS: dict[str, tuple[str, ...]] = {
    "sweep_trials": ("sweep", "revision"),
    "trials": ("trial_id",),
    "epochs": ("trial_id",),
    "measurements": ("trial_id", "statistic_id"),
    "spectra": ("trial_id", "statistic_id"),
    "failures": ("trial_id", "attempt_id"),
}
"""What identifies one commit of a view of facts."""

DERIVED_VIEWS = ("cell_measurements", "cells", "predictions")
"""Written by the aggregation job, one file a sweep, made anew each time."""

_READERS = 8


@dataclass(frozen=True)
class Commit:
    """One file of a view of facts: its path, the id it is for, and what it holds."""

    path: str
    key: tuple[str, ...]
    file: CommittedFile


def new_attempt_id(now: datetime) -> str:
    """Name an attempt uniquely; names sort by the time they were made."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Store:
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
        """
        parts = key if attempt_id in key else (*key, attempt_id)
        path = f"{view}/{'.'.join(parts)}.parquet"
        content = encode(view, rows, committed_at=_now(), attempt_id=attempt_id)
        filesystem.publish(self.root, path, content)
        return path

    def commits(self, view: str) -> list[Commit]:
        """Read every sound commit of a view, the first of each id first; damaged files are warned of."""
        paths = filesystem.names(self.root, view)
        with ThreadPoolExecutor(_READERS) as pool:
            found = [
                commit for part in pool.map(lambda p: self._read(view, p), paths) for commit in part
            ]
        return sorted(found, key=_order)

    def read(self, view: str) -> pa.Table:
        """Read a view: of every id the rows committed first; of a derived view all rows."""
        if view in DERIVED_VIEWS:
            tables = [commit.file.table for commit in self.commits(view)]
        else:
            tables = [commit.file.table for commit in self.winners(view).values()]
        return pa.concat_tables([VIEWS[view].empty_table(), *tables]).combine_chunks()

    def winners(self, view: str) -> dict[tuple[str, ...], Commit]:
        """Give the first commit of each id."""
        chosen: dict[tuple[str, ...], Commit] = {}
        for commit in self.commits(view):
            chosen.setdefault(commit.key, commit)
        return chosen

    def replace_derived(self, view: str, sweep: str, rows: pa.Table) -> None:
        """Write the derived rows of one sweep in place of the former ones."""
        content = encode(view, rows, committed_at=_now(), attempt_id="")
        filesystem.publish(self.root, f"{view}/{sweep}.parquet", content)

    def _read(self, view: str, path: str) -> list[Commit]:
        if not path.endswith(".parquet"):
            return []
        content = filesystem.read(self.root, path)
        if content is None:  # compacted away between listing and reading
            return []
        try:
            return list(_split(view, path, decode(view, content)))
        except DamagedFile as damage:
            warnings.warn(f"ignored a damaged file of the store, {path}: {damage}", stacklevel=2)
            return []

    # Documents --------------------------------------------------------------------------------

    def write_json(self, path: str, value: JsonValue) -> None:
        """Publish a JSON document."""
        filesystem.publish(self.root, path, json.dumps(value, indent=1, sort_keys=True).encode())

    def read_json(self, path: str) -> JsonValue:
        """Read a JSON document; None when there is none, or when it is not whole."""
        content = filesystem.read(self.root, path)
        try:
            value: JsonValue = None if content is None else json.loads(content)
            return value
        except ValueError:
            return None

    def names(self, folder: str, *, recursive: bool = False) -> list[str]:
        """List the finished files of a folder, by path below the root."""
        return filesystem.names(self.root, folder, recursive=recursive)

    def read_bytes(self, path: str) -> bytes | None:
        """Read a file; None when there is none."""
        return filesystem.read(self.root, path)

    def write_bytes(self, path: str, content: bytes) -> None:
        """Publish a file."""
        filesystem.publish(self.root, path, content)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        filesystem.remove(self.root, path)

    def local_path(self, path: str) -> Path | None:
        """Give the place of a file on this machine; None on object storage."""
        return None if self.root.local is None else self.root.local / path

    # Names ------------------------------------------------------------------------------------

    @staticmethod
    def model_path(trial_id: str, attempt_id: str) -> str:
        """Where the trained network of one attempt is."""
        return f"models/{trial_id}.{attempt_id}.keras"

    @staticmethod
    def checkpoint_folder(work_id: str) -> str:
        """Where the checkpoints of a training or a measurement are, of all its attempts."""
        return f"checkpoints/{work_id}"

    @staticmethod
    def heartbeat_path(trial_id: str, attempt_id: str) -> str:
        """Where an attempt tells that it lives and how far it is."""
        return f"attempts/{trial_id}.{attempt_id}.json"

    @staticmethod
    def log_path(trial_id: str, attempt_id: str) -> str:
        """Where an attempt's standard output and error go."""
        return f"logs/{trial_id}.{attempt_id}.log"

    @staticmethod
    def plan_path(sweep: str, revision: str) -> str:
        """Where a resolved plan is."""
        return f"sweeps/{sweep}/{revision}.json"

    @staticmethod
    def run_path(sweep: str, run_id: str) -> str:
        """Where a running driver tells that it lives."""
        return f"control/{sweep}.{run_id}.run.json"

    @staticmethod
    def stop_path(sweep: str, run_id: str) -> str:
        """The marker that asks one run to drain."""
        return f"control/{sweep}.{run_id}.stop.json"

    # Health -----------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Write and remove a probe.

        Raises:
            UserError: The store cannot be written.
        """
        probe = f"control/probe-{secrets.token_hex(4)}"
        try:
            filesystem.publish(self.root, probe, b"probe")
            filesystem.remove(self.root, probe)
        except Exception as error:
            raise user_error(
                str(error), where="--store", mend="choose a place that can be written"
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _order(commit: Commit) -> tuple[bool, str, str, str]:
    return (
        not commit.file.is_compacted,
        commit.file.committed_at,
        commit.file.attempt_id,
        commit.path,
    )


def _split(view: str, path: str, file: CommittedFile) -> Iterator[Commit]:
    if view in DERIVED_VIEWS:
        yield Commit(path, (path,), file)
        return
    columns = KEY_COLUMNS[view]
    if not file.is_compacted:
        stem = path.rsplit("/", 1)[-1].removesuffix(".parquet")
        yield Commit(path, tuple(stem.split(".")[: len(columns)]), file)
        return
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, values in enumerate(file.table.select(list(columns)).to_pylist()):
        groups.setdefault(tuple(values.values()), []).append(row)
    for key, rows in groups.items():
        part = replace(file, table=file.table.take(rows))
        yield Commit(path, key, part)
