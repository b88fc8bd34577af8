"""What the store holds, by identity; a reader that looks again decodes only what is new."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workers.contract.arrow_numbers import as_arrow, as_numpy
from workers.contract.commit_memory import CommitMemory
from workers.contract.commits import Commit
from workers.contract.failure_classes import WorkName, given_up_work
from workers.contract.file_rows import FileRows
from workers.contract.lacking import Facts
from workers.contract.plan_document import PlanDocument
from workers.contract.record_digest import RecordName, names_of, record_digest
from workers.contract.specs import TrialSpec
from workers.contract.store import Store

_MESSAGE_CHARACTERS = 300
_SHORT = 64
_JSON = json.JSONDecoder()


class FailedAttempt(NamedTuple):
    """A failure's row: what decides whether the work was given up, and what a person is told."""

    trial_id: str
    statistic_id: str | None
    attempt_id: str
    failure_class: str
    signature: str = ""
    message: str = ""
    log_path: str = ""
    host: str = ""
    committed_at: str = ""

    @property
    def work(self) -> WorkName:
        """What the attempt was at."""
        return self.trial_id, self.statistic_id


class RecordedTrial(NamedTuple):
    """What of a trial's record tells how long such trials take, when it ended, and what its bits depend on.

    `model` is the model's spec as `model_text` writes it.
    """

    outcome: str
    wall_seconds: float
    batch_size: int
    epochs: int
    num_train: int
    dataset: str
    data_digest: str
    device_share: float
    device: str
    host: str
    environment_id: str
    model: str
    committed_at: str
    attempt_id: str = ""


class RecordedStatistic(NamedTuple):
    """A statistic of a trial: its name, its time over all splits (None when skipped), its commit."""

    name: str
    wall_seconds: float | None
    committed_at: str
    attempt_id: str = ""


@dataclass(frozen=True)
class StoreState(Facts):
    """What the store holds, and what of it tells how work went and how long it takes."""

    wall_seconds: dict[str, float] = field(default_factory=dict)
    failures: tuple[FailedAttempt, ...] = ()
    trials: Mapping[str, RecordedTrial] = field(default_factory=dict)
    statistics: Mapping[tuple[str, str], RecordedStatistic] = field(default_factory=dict)

    def record_names(self) -> Iterator[RecordName]:
        """Name the records that this was read from."""
        for trial_id, trial in self.trials.items():
            yield RecordName("trials", (trial_id,), trial.committed_at, trial.attempt_id)
        for key, found in self.statistics.items():
            yield RecordName("measurements", key, found.committed_at, found.attempt_id)
        for failure in self.failures:
            key = (failure.trial_id, failure.attempt_id)
            yield RecordName("failures", key, failure.committed_at, failure.attempt_id)


class StoreReader:
    """Looks at what is done; each look after the first costs what is new since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trials = CommitMemory(store, "trials", _trials)
        self._statistics = CommitMemory(store, "measurements", _statistics)
        self._failures = CommitMemory(store, "failures", _failures)

    def look(self) -> StoreState:
        """Read what is done from the store.

        Raises:
            StoreError: The store cannot be read.
        """
        trials = {key[0]: trial for key, trial in self._trials.look().items()}
        statistics = {(key[0], key[1]): found for key, found in self._statistics.look().items()}
        failures = tuple(self._failures.look().values())
        models = (Store.model_trial(path) for path in self._store.names("models"))
        return StoreState(
            outcomes={name: trial.outcome for name, trial in trials.items()},
            wall_seconds={name: trial.wall_seconds for name, trial in trials.items()},
            with_model=frozenset(models),
            measured=frozenset(statistics),
            given_up=given_up_work((each.work, each.failure_class) for each in failures),
            failures=failures,
            trials=trials,
            statistics=statistics,
        )


def read_state(store: Store) -> StoreState:
    """Read what is done from the store, once."""
    return StoreReader(store).look()


def standing_records(store: Store, records: StoreReader, plan: PlanDocument) -> str:
    """Return the digest of the records of a plan's trials that stand in the store, as whoever averages them makes it.

    Raises:
        StoreError: The store cannot be read.
    """
    state, spectra = records.look(), store.winners("spectra").values()
    names = [*state.record_names(), *names_of("spectra", spectra)]
    return record_digest(names, state.with_model, {item.trial_id for item in plan.trials})


def model_text(trial: TrialSpec) -> str:
    """Write the model's spec so that equal models are equal text."""
    return json.dumps(trial.model.model_dump(mode="json"), sort_keys=True)


def _trials(commits: Sequence[Commit]) -> list[RecordedTrial | None]:
    *columns, _model, _committed_at, _attempt_id = RecordedTrial._fields
    return [
        None if row is None else _trial(commit, row)
        for commit, row in _first_rows(commits, [*columns, "spec"])
    ]


def _trial(commit: Commit, row: Sequence[Any]) -> RecordedTrial:
    *columns, spec = row
    known = (*columns, _model_of(spec), commit.committed_at, commit.attempt_id)
    return RecordedTrial._make(known)


def _first_rows(
    commits: Sequence[Commit], names: Sequence[str]
) -> Iterator[tuple[Commit, tuple[Any, ...] | None]]:
    """Return the first row of each commit of a file, its values in the order of the names; None of one without rows."""
    starts = np.array([commit.start for commit in commits if commit.num_rows], np.int64)
    rows = iter(_rows_at(commits[0].rows_of_file, starts, names))
    return ((commit, next(rows) if commit.num_rows else None) for commit in commits)


def _rows_at(
    rows: FileRows, places: NDArray[np.int64], names: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Return the rows at ascending places [n]; texts are made of the words that are asked for alone."""
    found: list[tuple[Any, ...]] = []
    ends = np.cumsum(rows.lengths)
    parts = np.split(places, np.searchsorted(places, ends[:-1]))
    for number, (part, end) in enumerate(zip(parts, ends, strict=True)):
        own = part - (end - rows.lengths[number])
        if own.size:
            piece = rows.select(names) if rows.is_kept else rows.piece(number, names)
            asked = piece.take(as_arrow(own))
            found += zip(*map(_values, asked.columns), strict=True)
    return found


def _values(column: pa.ChunkedArray[Any]) -> list[Any]:
    """Return the values of a column; equal texts are one object, short ones all over the store."""
    kind = column.type.value_type if isinstance(column.type, pa.DictionaryType) else column.type
    if not pa.types.is_string(kind):
        return column.to_pylist()
    values: list[str | None] = []
    for chunk in column.cast(kind).dictionary_encode().chunks:
        assert isinstance(chunk, pa.DictionaryArray)  # noqa: S101 - as it was just made
        words = [
            sys.intern(word) if len(word) <= _SHORT else word
            for word in chunk.dictionary.to_pylist()
        ]
        values += [None if code is None else words[code] for code in chunk.indices.to_pylist()]
    return values


_MODEL_FIRST = '{"model":'
"""As the specs of trials begin: what follows the model need not be read."""


def _model_of(spec: str | None) -> str:
    try:
        if spec is not None and spec.startswith(_MODEL_FIRST):
            start = len(_MODEL_FIRST)
            _, end = _JSON.raw_decode(spec, start)
            return _model_written(spec[start:end])
        return _model_written(json.dumps(json.loads(spec or "{}")["model"]))
    except (ValueError, KeyError, TypeError):
        return ""


@functools.lru_cache
def _model_written(text: str) -> str:
    return sys.intern(json.dumps(json.loads(text), sort_keys=True))


def _statistics(commits: Sequence[Commit]) -> list[RecordedStatistic | None]:
    rows = zip(_first_rows(commits, ["statistic"]), _seconds(commits), strict=True)
    return [
        None
        if row is None
        else RecordedStatistic._make((*row, seconds, commit.committed_at, commit.attempt_id))
        for (commit, row), seconds in rows
    ]


def _seconds(commits: Sequence[Commit]) -> list[float | None]:
    """Sum the time of each commit over its splits; every row of a split carries the time of the whole split."""
    owners = np.repeat(np.arange(len(commits)), [commit.num_rows for commit in commits])
    splits, seconds = _splits_and_seconds(commits[0].rows_of_file)
    is_known = ~np.isnan(seconds)
    owners, splits, longest = _longest(owners[is_known], splits[is_known], seconds[is_known])
    order = np.lexsort((splits, owners))
    owners, _, longest = _longest(owners[order], splits[order], longest[order])
    totals = np.bincount(owners, longest, len(commits)).tolist()
    is_timed = (np.bincount(owners, minlength=len(commits)) > 0).tolist()
    return [total if timed else None for total, timed in zip(totals, is_timed, strict=True)]


def _longest(
    owners: NDArray[np.int64], splits: NDArray[np.int64], seconds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Keep the longest time of neighbours [n] of one owner and split."""
    begins = np.flatnonzero((np.diff(owners, prepend=-1) != 0) | (np.diff(splits, prepend=-1) != 0))
    longest = np.maximum.reduceat(seconds, begins) if begins.size else seconds
    return owners[begins], splits[begins], longest


def _splits_and_seconds(rows: FileRows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return of each row [n] of a file the number of its split, and its time; NaN where there is none."""
    numbers: dict[str | None, int] = {}
    splits, seconds = [np.zeros(0, np.int64)], [np.zeros(0)]
    for piece in range(len(rows.lengths)):
        for words, codes in rows.codes(piece, "split"):
            known = [numbers.setdefault(word, len(numbers)) for word in words]
            splits.append(np.array(known, np.int64)[codes])
        seconds.append(as_numpy(rows.piece(piece, ["wall_seconds"]).column(0)))
    return np.concatenate(splits), np.concatenate(seconds)


def _failures(commits: Sequence[Commit]) -> list[FailedAttempt | None]:
    return [
        None if row is None else _shortened(FailedAttempt._make((*row, commit.committed_at)))
        for commit, row in _first_rows(commits, FailedAttempt._fields[:-1])
    ]


def _shortened(failure: FailedAttempt) -> FailedAttempt:
    return failure._replace(message=(failure.message or "")[:_MESSAGE_CHARACTERS])
