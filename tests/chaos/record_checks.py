"""What the store may never do: lose a committed row, change one, show two of one id, show a wrong one."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable

from numpy_steps import Expected, expected

from workers.contract import identity
from workers.contract.specs import TrialSpec
from workers.contract.store import Store

RECORDS = {
    "trials": ("trial_id",),
    "epochs": ("trial_id", "epoch"),
    "measurements": (
        "trial_id", "statistic_id", "quantity", "layer", "index", "split", "objective",
    ),
}  # fmt: skip
"""What may be there once, of each view."""
_OF_AN_ATTEMPT = {"attempt_id", "wall_seconds", "seconds", "host", "started_at", "finished_at"}

Key = tuple[str, ...]


class RecordChecks:
    """Remembers every committed row ever seen in one store and compares.

    Args:
        store: Gives the store as it is now.
        is_numpy: Whether its values can be computed here.
    """

    def __init__(self, store: Callable[[], Store], *, is_numpy: bool = True) -> None:
        self._store, self._is_numpy = store, is_numpy
        self._seen: dict[Key, dict[str, object]] = {}
        self._damaged: set[str] = set()
        self._expected: dict[str, Expected] = {}
        self.without_epochs: set[str] = set()
        """Trials whose epochs were damaged; nobody makes them again."""
        self.foreign: set[str] = set()
        """Trials of other versions of the code, whose values nobody here can compute."""

    def damaged(self, trial_id: str) -> None:
        """Note that a record of a trial was damaged from outside: it may be away until made again."""
        self._damaged.add(trial_id)

    def check(self) -> int:
        """Compare the store with all that was seen before; how many rows there are.

        I1 at most one row per id, I2 none lost or changed, I5 every value as computed without us.
        """
        return len(self._look())

    def _look(self) -> dict[Key, dict[str, object]]:
        found: dict[Key, dict[str, object]] = {}
        store = self._store()
        # trials last: what is seen of one was committed before it, or after it was seen
        for view, columns in reversed(RECORDS.items()):
            rows = self._rows(store, view)
            keys = [(view, *(str(row[column]) for column in columns)) for row in rows]
            twice = [key for key, count in Counter(keys).items() if count > 1]
            assert not twice, f"rows that are there twice: {twice[:5]}"
            found |= dict(zip(keys, rows, strict=True))
        self._compare(found)
        if self._is_numpy:
            for key, row in sorted(found.items(), key=lambda item: item[0][0] != "trials"):
                if key not in self._seen:
                    self._check_value(key[0], row)
        self._seen |= found
        return found

    def _compare(self, found: dict[Key, dict[str, object]]) -> None:
        for key, row in self._seen.items():
            trial_id = key[1]
            now = found.get(key)
            if now is None:
                assert trial_id in self._damaged, f"lost: {key}"
            else:
                assert _values(now) == _values(row), f"changed: {key}: {row} is now {now}"

    def _rows(self, store: Store, view: str) -> list[dict[str, object]]:
        with warnings.catch_warnings():
            if self._damaged:
                warnings.filterwarnings("ignore", message="ignored .*damaged")
            return list(store.read(view).to_pylist())

    def _check_value(self, view: str, row: dict[str, object]) -> None:
        trial_id = str(row["trial_id"])
        if trial_id in self.foreign:
            return
        wanted = self._expected_of(trial_id, row)
        if wanted is None:  # a measurement whose trial's record was damaged and is away
            assert trial_id in self._damaged, f"a row of an unknown trial: {row}"
        elif view == "trials":
            assert row["weights_sha256"] == wanted.weights_sha256, row
        elif view == "epochs":
            assert row["train_loss"] == wanted.losses[int(str(row["epoch"]))], row
        else:
            assert row["value"] == wanted.measured[str(row["statistic"])], row

    def _expected_of(self, trial_id: str, row: dict[str, object]) -> Expected | None:
        if trial_id not in self._expected and "spec" in row:
            trial = TrialSpec.model_validate_json(str(row["spec"]))
            assert identity.trial_id(trial) == trial_id
            self._expected[trial_id] = expected(trial_id, trial, ["losses", "traces"])
        return self._expected.get(trial_id)

    def assert_complete(self, trial_ids: Iterable[str], statistics: int) -> None:
        """Check that nothing planned is missing."""
        found = self._look()
        for trial_id in trial_ids:
            views = Counter(key[0] for key in found if key[1] == trial_id)
            assert views["trials"] == 1, f"{trial_id} is not trained"
            assert views["measurements"] >= statistics, f"{trial_id} is not measured"
            has_epochs = views["epochs"] > 0 or trial_id in self.without_epochs
            assert has_epochs, f"{trial_id} has no epochs"


def _values(row: dict[str, object]) -> str:
    return json.dumps(
        {key: str(value) for key, value in row.items() if key not in _OF_AN_ATTEMPT}, sort_keys=True
    )
