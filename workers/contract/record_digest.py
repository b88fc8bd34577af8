"""The digest of the records that a reader was given: equal where they are the very same, whatever files they stand in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import NamedTuple

from workers.contract.commits import Commit


class RecordName(NamedTuple):
    """What tells a commit from every other one, as what was committed never changes."""

    view: str
    key: tuple[str, ...]
    committed_at: str
    attempt_id: str


def names_of(view: str, commits: Iterable[Commit]) -> list[RecordName]:
    """Name the commits that have rows."""
    return [
        RecordName(view, commit.key, commit.committed_at, commit.attempt_id)
        for commit in commits
        if commit.num_rows
    ]


def record_digest(
    records: Iterable[RecordName], with_model: Collection[str], trials: Collection[str]
) -> str:
    """Hash which records of some trials there are, in any order, and which of the trials have a kept network."""
    found = hashlib.sha256()
    for record in sorted(record for record in records if record.key[0] in trials):
        parts = (record.view, *record.key, record.committed_at, record.attempt_id)
        found.update("\0".join(parts).encode() + b"\n")
    for name in sorted(set(with_model) & set(trials)):
        found.update(f"models\0{name}\n".encode())
    return found.hexdigest()
