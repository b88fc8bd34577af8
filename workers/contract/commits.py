"""Commits: which rows of a view's files belong to which id, and which commit of an id counts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from workers.contract.file_names import FileNames
from workers.contract.file_rows import FileRows
from workers.contract.parquet_file import CommittedFile, DamagedFile, decode
from workers.contract.soundness import key_fault

KEY_COLUMNS: dict[str, tuple[str, ...]] = {
    "sweep_trials": ("sweep", "revision"),
    "trials": ("trial_id",),
    "epochs": ("trial_id",),
    "measurements": ("trial_id", "statistic_id"),
    "spectra": ("trial_id", "statistic_id"),
    "failures": ("trial_id", "attempt_id"),
}
"""What identifies one commit of a view of facts."""

"""How the names of merged files begin; no id begins so."""

DERIVED_VIEWS = ("cell_measurements", "cells", "predictions", "validity")
"""Written by the aggregation job, one file a sweep, made anew each time."""

_ONE_ROW = frozenset({"trials", "failures"})
"""Views of which a commit is one row."""

_SHOWN_DAMAGES = 3


class Commit(NamedTuple):
    """What was committed of one id at once: where it stands, whose it is, and its rows.

    Attributes:
        path: Of the file.
        key: The id.
        committed_at: ISO 8601 time, UTC.
        attempt_id: Who committed it.
        is_compacted: The file holds many ids.
        rows_of_file: All rows of the file.
        start: Its first row there.
        num_rows: How many are its own.
    """

    path: str
    key: tuple[str, ...]
    committed_at: str
    attempt_id: str
    is_compacted: bool
    rows_of_file: FileRows
    start: int
    num_rows: int

    @property
    def table(self) -> pa.Table:
        """Its rows."""
        return self.rows_of_file.table.slice(self.start, self.num_rows)


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
        if commit.key in trials and commit.attempt_id == trials[commit.key].attempt_id
    ]


def rank(commit: Commit) -> tuple[bool, str, str, str]:
    """Sort commits of one id, the one that counts first: what was compacted, then by time."""
    return (
        not commit.is_compacted,
        commit.committed_at,
        commit.attempt_id,
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
        file = decode(view, content)
        if view in DERIVED_VIEWS:
            return [_whole(path, (path,), file)]
        return _compacted(view, path, file) if file.is_compacted else [_single(view, path, file)]
    except DamagedFile as damage:
        return damage


def _compacted(view: str, path: str, file: CommittedFile) -> list[Commit]:
    """Split a merged file into its commits.

    Raises:
        DamagedFile: Its parts are not those of its rows.
    """
    columns, num_rows = KEY_COLUMNS[view], [part.num_rows for part in file.parts]
    if not FileNames.is_compacted(path):
        raise DamagedFile("it is a merged file, which is not its name")
    if not file.parts:
        raise DamagedFile("it is a merged file of nothing")
    if any(len(part.key) != len(columns) for part in file.parts):
        raise DamagedFile("its parts have other ids than the view")
    if sum(num_rows) != file.rows.num_rows:
        raise DamagedFile(f"its parts have {sum(num_rows)} rows, and it has {file.rows.num_rows}")
    for place, column in enumerate(columns):
        _refuse_other_ids(file.rows, column, [part.key[place] for part in file.parts], num_rows)
    for number in set(num_rows):
        _refuse_other_count(view, number)
    starts = np.cumsum([0, *num_rows]).tolist()
    return [
        Commit(
            path,
            part.key,
            part.committed_at,
            part.attempt_id,
            file.is_compacted,
            file.rows,
            start,
            part.num_rows,
        )
        for part, start in zip(file.parts, starts, strict=False)
    ]


def _whole(path: str, key: tuple[str, ...], file: CommittedFile) -> Commit:
    return Commit(
        path,
        key,
        file.committed_at,
        file.attempt_id,
        file.is_compacted,
        file.rows,
        0,
        file.rows.num_rows,
    )


def _single(view: str, path: str, file: CommittedFile) -> Commit:
    """Find the id of a file that holds one commit, as its name and its rows tell it.

    Raises:
        DamagedFile: They tell different ids, or none that can be.
    """
    columns = KEY_COLUMNS[view]
    if file.rows.num_rows:
        first = file.rows.select(columns).slice(0, 1)
        key = tuple(first.column(column)[0].as_py() for column in columns)
    else:
        key = FileNames.rows_key(path, len(columns))
    if fault := key_fault(key):
        raise DamagedFile(fault)
    if not FileNames.is_rows_of(path, key):
        raise DamagedFile(f"it holds {' '.join(key)}, which is not its name")
    for part, column in zip(key, columns, strict=True):
        _refuse_other_ids(file.rows, column, [part], [file.rows.num_rows])
    _refuse_other_count(view, file.rows.num_rows)
    return _whole(path, key, file)


def _refuse_other_ids(
    rows: FileRows, column: str, told: Sequence[str], num_rows: Sequence[int]
) -> None:
    """Compare a column of ids with what is told of so many rows each."""
    numbers: dict[str | None, int] = {one: number for number, one in enumerate(dict.fromkeys(told))}
    owners = np.repeat([numbers[one] for one in told], num_rows)
    start = 0
    for number in range(len(rows.lengths)):
        for words, codes in rows.codes(number, column):
            found = np.array([numbers.get(word, -1) for word in words], dtype=np.int64)[codes]
            if not np.array_equal(found, owners[start : start + len(found)]):
                raise DamagedFile(f"it holds rows of another {column} than it tells")
            start += len(found)


def _refuse_other_count(view: str, num_rows: int) -> None:
    if view in _ONE_ROW and num_rows != 1:
        raise DamagedFile(f"it holds {num_rows} rows of one id, not one")


def warn_of_damage(damaged: Mapping[str, DamagedFile]) -> None:
    """Report damaged files by path, if there are any; a process tells equal news once."""
    damages = [f"{path}: {damage}" for path, damage in damaged.items()]
    if damages:
        warnings.warn(_damage_sentence(damages), stacklevel=1)


def _damage_sentence(damages: Sequence[str]) -> str:
    if len(damages) == 1:
        return f"ignored a damaged file of the store, {damages[0]}"
    shown = "; ".join(damages[:_SHOWN_DAMAGES])
    more = len(damages) - _SHOWN_DAMAGES
    return f"ignored {len(damages)} damaged files of the store: {shown}" + (
        f"; … and {more} more" if more > 0 else ""
    )
