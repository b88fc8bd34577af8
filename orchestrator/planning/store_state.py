"""What the store holds, by identity; a reader that looks again decodes only what is new."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from workers.contract.commit_memory import CommitMemory
from workers.contract.commits import Commit
from workers.contract.lacking import Facts
from workers.contract.specs import TrialSpec
from workers.contract.store import Store

_MESSAGE_CHARACTERS = 300


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


class RecordedTrial(NamedTuple):
    """What of a trial's record tells how long such trials take, when it ended, and what its bits depend on.

    `model` is the model's spec as `model_text` writes it.
    """

    outcome: str
    wall_seconds: float
    committed_at: str
    batch_size: int
    epochs: int
    num_train: int
    dataset: str
    data_digest: str
    model: str
    device_share: float
    device: str
    host: str
    environment_id: str


class RecordedStatistic(NamedTuple):
    """A statistic of a trial: its name, its time over all splits (None when skipped), its commit."""

    name: str
    wall_seconds: float | None
    committed_at: str


@dataclass(frozen=True)
class StoreState(Facts):
    """What the store holds, and what of it tells how work went and how long it takes."""

    wall_seconds: dict[str, float] = field(default_factory=dict)
    failures: tuple[FailedAttempt, ...] = ()
    trials: Mapping[str, RecordedTrial] = field(default_factory=dict)
    statistics: Mapping[tuple[str, str], RecordedStatistic] = field(default_factory=dict)


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
            failed=frozenset((failure.trial_id, failure.statistic_id) for failure in failures),
            failures=failures,
            trials=trials,
            statistics=statistics,
        )


def read_state(store: Store) -> StoreState:
    """Read what is done from the store, once."""
    return StoreReader(store).look()


def model_text(trial: TrialSpec) -> str:
    """Write the model's spec so that equal models are equal text."""
    return json.dumps(trial.model.model_dump(mode="json"), sort_keys=True)


def _trials(commits: Sequence[Commit]) -> list[RecordedTrial | None]:
    names = set(RecordedTrial._fields) - {"model", "committed_at"}
    return [
        None if row is None else _trial(commit, row)
        for commit, row in _first_rows(commits, [*names, "spec"])
    ]


def _trial(commit: Commit, row: dict[str, Any]) -> RecordedTrial:
    model = _model_of(row.pop("spec"))
    texts = {key: sys.intern(value) for key, value in row.items() if isinstance(value, str)}
    return RecordedTrial(**row | texts, model=model, committed_at=commit.committed_at)


def _first_rows(
    commits: Sequence[Commit], names: Sequence[str]
) -> Iterator[tuple[Commit, dict[str, Any] | None]]:
    """Return the first row of each commit of a file; None of one without rows."""
    starts = pa.array([commit.start for commit in commits if commit.num_rows], pa.int64())
    rows = iter(commits[0].rows_of_file.select(names).take(starts).to_pylist())
    return ((commit, next(rows) if commit.num_rows else None) for commit in commits)


def _model_of(spec: str | None) -> str:
    try:
        model = json.loads(spec or "{}")["model"]
    except (ValueError, KeyError, TypeError):
        return ""
    return sys.intern(json.dumps(model, sort_keys=True))


def _statistics(commits: Sequence[Commit]) -> list[RecordedStatistic | None]:
    seconds = _seconds(commits)
    return [
        None
        if row is None
        else RecordedStatistic(
            sys.intern(row["statistic"]), seconds.get(place), commit.committed_at
        )
        for place, (commit, row) in enumerate(_first_rows(commits, ["statistic"]))
    ]


def _seconds(commits: Sequence[Commit]) -> dict[int, float]:
    """Sum the time of each commit over its splits; every row of a split carries the time of the whole split."""
    places = np.repeat(np.arange(len(commits)), [commit.num_rows for commit in commits])
    rows = commits[0].rows_of_file.select(["split", "wall_seconds"])
    rows = rows.append_column("place", pa.array(places)).drop_null()
    splits = rows.group_by(["place", "split"]).aggregate([("wall_seconds", "max")])
    found = splits.group_by("place").aggregate([("wall_seconds_max", "sum")])
    columns = (found.column(name).to_pylist() for name in ("place", "wall_seconds_max_sum"))
    return dict(zip(*columns, strict=True))


def _failures(commits: Sequence[Commit]) -> list[FailedAttempt | None]:
    return [
        None
        if row is None
        else FailedAttempt(**row | {"message": (row["message"] or "")[:_MESSAGE_CHARACTERS]})
        for _, row in _first_rows(commits, FailedAttempt._fields)
    ]
