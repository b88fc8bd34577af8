"""The small files of a store merged: by a command, or by itself once a run is over and there are many.

A compaction that was killed leaves its lock; where its process is seen to be dead, nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from orchestrator.machine.processes import is_dead, process_space
from workers.contract.compaction import CompactionResult, compact, most_loose_files
from workers.contract.compaction_lock import LOCK_PATH, read_lock
from workers.contract.errors import UserError
from workers.contract.store import Store

COMPACTING = "merging small files of the store"


def compact_store(store: Store) -> CompactionResult:
    """Merge the small files of every view of facts.

    Raises:
        UserError: Another compaction, not seen to be dead, is at work.
        StoreError: The store could not be read or written; no record is lost.
    """
    lock = read_lock(store)
    if lock is not None and lock.pid is not None and is_dead(lock.pid, lock.process_space):
        store.remove(LOCK_PATH)
    return compact(store, process_space=process_space())


def compact_if_many(
    store: Store, least: int, step: Callable[[str], AbstractContextManager[None]]
) -> str:
    """Merge the small files if a view of facts has at least so many; whatever fails is but told.

    Args:
        store: That holds them.
        least: So many files not yet merged.
        step: Tells what takes its time while a block runs.

    Returns:
        What happened in one line; empty where nothing was to be done.
    """
    try:
        if most_loose_files(store) < least:
            return ""
        with step(COMPACTING):
            views = compact_store(store).views
    except Exception as error:  # noqa: BLE001  # what a run has done stands, whatever happens here
        fault = error.faults[0].what if isinstance(error, UserError) else str(error)
        reason = " ".join(f"{fault or type(error).__name__}".split())
        return f"the small files of the store stay as they are: {reason}"
    merged = [view for view in views if view.path]
    num_removed = sum(len(view.removed) for view in merged)
    return f"{num_removed} small files of the store merged into {len(merged)}"
