"""Plans looked at again and again: read anew only when a document of their sweep was written, removed or changed."""

from __future__ import annotations

from workers.contract.local_files import Mark
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import newest_plan
from workers.contract.store import Store


class PlanMemory:
    """Reader of the current plans of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, tuple[dict[str, Mark], PlanDocument | None]] = {}

    def newest(self, sweep: str) -> PlanDocument | None:
        """Return what `newest_plan` finds; the same object while size and time of all documents are the same.

        Raises:
            StoreError: The store cannot be read.
        """
        # first: what is written meanwhile is read next time
        marks = self._store.marks(Store.plan_folder(sweep))
        if sweep not in self._read or self._read[sweep][0] != marks:
            self._read[sweep] = marks, newest_plan(self._store, sweep)
        return self._read[sweep][1]
