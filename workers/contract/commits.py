"""Commits: which rows of a view's files belong to which id, and which commit of an id counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from workers.contract.parquet_file import CommittedFile, DamagedFile, decode

KEY_COLUMNS: dict[str, tuple[str, ...]] = {
    "sweep_trials": ("sweep", "revision"),
    "trials": ("trial_id",),
    "epochs": ("trial_id",),
    "measurements": ("trial_id", "statistic_id"),
    "spectra": ("trial_id", "statistic_id"),
    "failures": ("trial_id", "attempt_id"),
}
"""What identifies one commit of a view of facts."""

COMPACTED = "compacted-"
"""How the names of merged files begin; no id begins so."""

DERIVED_VIEWS = ("cell_measurements", "cells", "predictions", "validity")
"""Written by the aggregation job, one file a sweep, made anew each time."""

_SHOWN_DAMAGES = 3


@dataclass(frozen=True)
class Commit:
    """One file of a view of facts: its path, the id it is for, and what it holds."""

    path: str
    key: tuple[str, ...]
    file: CommittedFile


def first_of_each(commits: Sequence[Commit]) -> dict[tuple[str, ...], Commit]:
    """Keep the first commit of each id, of commits in their order."""
    chosen: dict[tuple[str, ...], Commit] = {}
    for commit in commits:
        chosen.setdefault(commit.key, commit)
    return chosen


def of_kept_attempts(
    epochs: Sequence[Commit], trials: Mapping[tuple[str, ...], Commit]
) -> list[Commit]:
    """Keep the epochs whose trial is committed by the same attempt."""
    return [
        commit
        for commit in epochs
        if commit.key in trials and commit.file.attempt_id == trials[commit.key].file.attempt_id
    ]


def rank(commit: Commit) -> tuple[bool, str, str, str]:
    """Sort commits of one id, the one that counts first: what was compacted, then by time."""
    return (
        not commit.file.is_compacted,
        commit.file.committed_at,
        commit.file.attempt_id,
        commit.path,
    )


def check_key(view: str, key: tuple[str, ...], rows: pa.Table) -> None:
    """Check that an id can name a file and that the rows are of that id.

    Raises:
        ValueError: Our own bug.
    """
    if any(not part or "/" in part or part.startswith(".") for part in key):
        raise ValueError(f"{key} cannot name a file of {view}")
    for column, part in zip(KEY_COLUMNS[view], key, strict=True):
        found = rows.column(column).unique().to_pylist()
        if found not in ([], [part]):
            raise ValueError(f"{view} of {key} hold rows of {column} {found}")


def decode_commits(
    view: str, path: str, content: bytes | None
) -> list[Commit] | DamagedFile | None:
    """Decode the commits of one file; None when there is no file, a fault when it is damaged."""
    if content is None:
        return None
    try:
        return list(_split(view, path, decode(view, content)))
    except DamagedFile as damage:
        return damage


def _split(view: str, path: str, file: CommittedFile) -> Iterator[Commit]:
    if view in DERIVED_VIEWS:
        yield Commit(path, (path,), file)
    elif file.is_compacted:
        start = 0
        for part in file.parts:
            table = file.table.slice(start, part.num_rows)
            start += part.num_rows
            only = replace(
                file,
                table=table,
                committed_at=part.committed_at,
                attempt_id=part.attempt_id,
                parts=(part,),
            )
            yield Commit(path, part.key, only)
    else:
        yield Commit(path, _key_of(view, path, file.table), file)


def _key_of(view: str, path: str, table: pa.Table) -> tuple[str, ...]:
    columns = KEY_COLUMNS[view]
    if table.num_rows:
        return tuple(table.column(column)[0].as_py() for column in columns)
    stem = path.rsplit("/", 1)[-1].removesuffix(".parquet")
    return tuple(stem.split(".")[: len(columns)])


def damage_sentence(damages: list[str]) -> str:
    """Say which files of the store are ignored, and why."""
    if len(damages) == 1:
        return f"ignored a damaged file of the store, {damages[0]}"
    shown = "; ".join(damages[:_SHOWN_DAMAGES])
    more = len(damages) - _SHOWN_DAMAGES
    return f"ignored {len(damages)} damaged files of the store: {shown}" + (
        f"; and {more} more" if more > 0 else ""
    )
