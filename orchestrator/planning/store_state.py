"""What the store holds, by identity; a reader that looks again decodes only what is new."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

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
        self._trials = CommitMemory(store, "trials", _trial)
        self._statistics = CommitMemory(store, "measurements", _statistic)
        self._failures = CommitMemory(store, "failures", _failure)

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


def _trial(commit: Commit) -> RecordedTrial | None:
    names = set(RecordedTrial._fields) - {"model", "committed_at"}
    for row in commit.table.select([*names, "spec"]).to_pylist():
        model = _model_of(row.pop("spec"))
        texts = {key: sys.intern(value) for key, value in row.items() if isinstance(value, str)}
        return RecordedTrial(**row | texts, model=model, committed_at=commit.committed_at)
    return None


def _model_of(spec: str | None) -> str:
    try:
        model = json.loads(spec or "{}")["model"]
    except (ValueError, KeyError, TypeError):
        return ""
    return sys.intern(json.dumps(model, sort_keys=True))


def _statistic(commit: Commit) -> RecordedStatistic | None:
    rows = commit.table.select(["statistic", "split", "wall_seconds"]).to_pylist()
    if not rows:
        return None
    seconds = {  # every row of a split carries the time of the whole split
        row["split"]: row["wall_seconds"] for row in rows if row["wall_seconds"] is not None
    }
    total = sum(seconds.values()) if seconds else None
    return RecordedStatistic(sys.intern(rows[0]["statistic"]), total, commit.committed_at)


def _failure(commit: Commit) -> FailedAttempt | None:
    for row in commit.table.select(list(FailedAttempt._fields)).to_pylist():
        return FailedAttempt(**row | {"message": (row["message"] or "")[:_MESSAGE_CHARACTERS]})
    return None
