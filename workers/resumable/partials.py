"""Partial sums of a long measurement, saved as checkpoints, so that a killed one can continue."""

from __future__ import annotations

from typing import final

from workers.contract import fault_injection
from workers.contract.errors import Drained
from workers.contract.orders import Order, Progress
from workers.contract.store import Store
from workers.resumable.checkpoint import Checkpoints
from workers.resumable.keeping import Partial
from workers.resumable.pulse import Pulse


@final
class SavedPartials:
    """The `Partials` of one statistic of one trial: one folder of checkpoints per key.

    They are numbered in the order of saving, each attempt going on above all files that are there when
    it first saves. Progress would not do: passes within a step, and work that a later attempt need not
    repeat, let it fall back.

    Args:
        store: Where they are kept.
        order: Names the work and the attempt.
        pulse: Carries stop requests and progress, and says when a checkpoint is due.
        conditions: What must be equal to continue: the environment and the measured weights.
    """

    def __init__(
        self, store: Store, order: Order, pulse: Pulse, conditions: dict[str, str]
    ) -> None:
        self._store, self._order, self._pulse, self._conditions = store, order, pulse, conditions
        self._unsaved: dict[str, Partial] = {}
        self._checkpoints: dict[str, Checkpoints] = {}
        self._numbers: dict[str, int] = {}
        self._saved_at = pulse.clock()

    def restore(self, key: str) -> Partial | None:
        """Return what any attempt saved last under this key; None if nothing."""
        saved = self._checkpoints_of(key).newest()
        return None if saved is None else saved.arrays

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        """Report progress, and save when a checkpoint is due.

        Raises:
            Drained: A stop was asked for; the partial has been saved.
        """
        self._unsaved[key] = partial
        self._pulse.report(Progress(phase="measuring", done=done, total=total))
        fault_injection.reach("measurement_batch")
        must_stop = self._pulse.should_stop()
        if must_stop or self._pulse.clock() - self._saved_at >= self._pulse.checkpoint_seconds:
            self._save()
        if must_stop:
            raise Drained(f"stopped at {done} of {total} of {key}")

    def _save(self) -> None:
        for key, partial in self._unsaved.items():
            checkpoints = self._checkpoints_of(key)
            if key not in self._numbers:
                self._numbers[key] = checkpoints.largest_number()
            self._numbers[key] += 1
            checkpoints.save(self._numbers[key], partial)
        self._unsaved.clear()
        self._saved_at = self._pulse.clock()

    def _checkpoints_of(self, key: str) -> Checkpoints:
        if key not in self._checkpoints:
            self._checkpoints[key] = Checkpoints(
                self._store,
                f"{Store.checkpoint_folder(self._order.work_id)}/{key}",
                attempt_id=self._order.attempt_id,
                conditions=self._conditions,
            )
        return self._checkpoints[key]
