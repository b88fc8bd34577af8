"""What the statistics of a trial share, kept in the store as long as the trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from workers.contract.orders import Order
from workers.contract.store import Store
from workers.resumable.checkpoint import Checkpoints
from workers.resumable.keeping import Arrays

_WHOLE = 1
"""Number of the only step there is."""


@final
class SharedInStore:
    """The `Shared` of one trial: a folder per key, with files that are trusted as checkpoints are.

    One that is lost, damaged or of other conditions is not found, and is computed again.

    Args:
        store: Where they are kept.
        order: Names the trial and the attempt.
        conditions: What must be equal for them to hold: the environment and the measured weights.
    """

    def __init__(self, store: Store, order: Order, conditions: Mapping[str, str]) -> None:
        self._store, self._order, self._conditions = store, order, conditions

    def find(self, key: str) -> Arrays | None:
        """Return what any statistic of the trial kept under this key; None if nothing sound.

        Raises:
            StoreError: The store cannot be read.
        """
        saved = self._files(key).newest()
        return None if saved is None else saved.arrays

    def keep(self, key: str, found: Arrays) -> None:
        """Publish a result for the others.

        Raises:
            StoreError: The store cannot be written.
        """
        self._files(key).save(_WHOLE, found)

    def _files(self, key: str) -> Checkpoints:
        return Checkpoints(
            self._store,
            f"{Store.shared_folder(self._order.trial_id)}/{key}",
            attempt_id=self._order.attempt_id,
            conditions=self._conditions,
        )
