"""Compaction: the small files of a view of facts merged into one, at no moment losing a record.

The merged file is published and read back before anything is removed, and only files it replaces
value for value are removed. Readers take each id once, what is compacted first, so a reader in
between, or after a kill at any point, sees the same records. Damaged files, records that lost
against an earlier one with other values, epochs without their trial, and files with columns that a newer
version wrote stay where they are.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from workers.contract.commits import KEY_COLUMNS, Commit, rank
from workers.contract.compaction_lock import Lock, hold_lock
from workers.contract.errors import StoreError
from workers.contract.parquet_file import DamagedFile, Part, decode, encode
from workers.contract.same_values import have_same_values
from workers.contract.store import Store
from workers.contract.view_rows import ViewRows


@dataclass(frozen=True)
class ViewCompaction:
    """What happened to one view.

    Attributes:
        view: Its name.
        path: The merged file; None when there was nothing to merge.
        num_ids: Ids that the view holds.
        removed: Files now replaced by the merged one.
        left: Sound files left beside it: lost against an earlier record, not yet to be shown, or with
            columns that this version does not know.
    """

    view: str
    path: str | None
    num_ids: int
    removed: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        merged = f"{len(self.removed)} files merged into {self.path}"
        left = f", {len(self.left)} left beside" if self.left else ""
        return f"{self.view}: {merged if self.path else 'nothing to merge'}{left}"


@dataclass(frozen=True)
class CompactionResult:
    """What happened to every view of facts."""

    views: tuple[ViewCompaction, ...]

    def __str__(self) -> str:
        return "\n".join(str(view) for view in self.views)


@dataclass(frozen=True)
class Conflict:
    """One trial id trained to different weights; `weights_sha256` by attempt, the kept one first."""

    trial_id: str
    weights_sha256: dict[str, str]

    def __str__(self) -> str:
        first, *others = self.weights_sha256
        return (
            f"trial {self.trial_id} was trained to different weights: the record of attempt {first} counts, "
            f"not {' and '.join(others)}; its measurements may be of either"
        )


def compact(
    store: Store, *, now: datetime | None = None, process_space: str = ""
) -> CompactionResult:
    """Merge the committed files of every view of facts, `trials` before `epochs`.

    Args:
        store: That holds them.
        now: The moment that the merged files are named by.
        process_space: Where this process' number means something, for who finds our lock after a kill.

    Raises:
        UserError: Another compaction of this store is at work.
        StoreError: The store could not be read or written; no record is lost.
    """
    moment = now or datetime.now(UTC)
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    lock = Lock(owner=owner, taken_at=moment, pid=os.getpid(), process_space=process_space)
    with hold_lock(store, lock):
        return CompactionResult(tuple(_compact_view(store, view, moment) for view in KEY_COLUMNS))


def most_loose_files(store: Store) -> int:
    """Count the files not yet merged of the view of facts that has the most, by listings alone.

    Raises:
        StoreError: A view cannot be listed.
    """
    return max(
        sum(store.is_rows(path) and not store.is_compacted(path) for path in store.names(view))
        for view in KEY_COLUMNS
    )


def conflicts(store: Store) -> list[Conflict]:
    """Find the trial ids that were trained to different weights."""
    by_id: dict[str, list[Commit]] = {}
    for commit in store.commits("trials"):
        by_id.setdefault(commit.key[0], []).append(commit)
    repeated = [Conflict(name, _weights(its)) for name, its in by_id.items() if len(its) > 1]
    found = (each for each in repeated if len(set(each.weights_sha256.values())) > 1)
    return sorted(found, key=lambda each: each.trial_id)


def _weights(commits: Collection[Commit]) -> dict[str, str]:
    """Return which weights each attempt reached, the one that counts first."""
    found: dict[str, str] = {}
    for commit in sorted(commits, key=rank):
        digest: str = commit.table.column("weights_sha256")[0].as_py()
        found.setdefault(commit.attempt_id, digest)
    return found


def _compact_view(store: Store, view: str, now: datetime) -> ViewCompaction:
    commits = store.commits(view)
    by_path: dict[str, list[Commit]] = {}
    for commit in commits:
        by_path.setdefault(commit.path, []).append(commit)
    winners = store.winners_among(view, commits)
    kept = {key: each for key, each in winners.items() if not each.rows_of_file.has_more_columns}
    replaceable = sorted(path for path in by_path if _is_replaced(by_path[path], kept))
    left = tuple(sorted(set(by_path) - set(replaceable)))
    if len(replaceable) < 2:
        return ViewCompaction(view, None, len(winners), (), left)
    merge_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    path = store.compacted_path(view, merge_id)
    parts, rows = _merged(view, kept)
    moment = now.astimezone(UTC).isoformat(timespec="microseconds")
    content = encode(view, rows, committed_at=moment, attempt_id="", parts=parts)
    store.write_bytes(path, content)
    _verify(store, view, path, parts, rows)
    store.each(store.remove, replaceable)
    return ViewCompaction(view, path, len(winners), tuple(replaceable), left)


def _is_replaced(commits: Collection[Commit], kept: Mapping[tuple[str, ...], Commit]) -> bool:
    return all(
        not commit.rows_of_file.has_more_columns
        and commit.key in kept
        and _is_equal(commit, kept[commit.key])
        for commit in commits
    )


def _is_equal(commit: Commit, other: Commit) -> bool:
    """Compare values, NaN being equal to itself."""
    if commit.path == other.path:
        return True
    return have_same_values(commit.table, other.table)


def _merged(view: str, kept: Mapping[tuple[str, ...], Commit]) -> tuple[tuple[Part, ...], pa.Table]:
    """Return the commits and their rows in the order in which readers give them, which is then that of the file."""
    commits = sorted(kept.values(), key=lambda commit: (commit.committed_at, commit.attempt_id))
    parts = tuple(Part(c.key, c.committed_at, c.attempt_id, c.num_rows) for c in commits)
    return parts, ViewRows(view, commits).table()


def _verify(store: Store, view: str, path: str, parts: tuple[Part, ...], rows: pa.Table) -> None:
    """Read the merged file back from the store and compare every value and label."""
    try:
        found = decode(view, store.read_bytes(path) or b"")
    except DamagedFile:
        found = None
    if found is None or found.parts != parts or not have_same_values(found.table, rows):
        raise StoreError(f"{path} in the store {store.uri} is not as written; nothing was removed")
