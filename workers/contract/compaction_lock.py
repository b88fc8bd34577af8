"""A lock file that lets one compaction at a time work on a store.

It saves work; no record depends on it. Object storage cannot create a file only if there is none,
so two compactions may in rare cases both go on: each removes only files it listed before it
published their records anew, so every record stays in a file that nobody removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta

from pydantic import AwareDatetime, ConfigDict, ValidationError

from workers.contract.errors import UserError, user_error
from workers.contract.frozen import Frozen
from workers.contract.store import Store

LOCK_PATH = "control/compaction.lock.json"

STALE_AFTER = timedelta(hours=1)
"""A lock older than this was left by a killed compaction and is taken over."""


class Lock(Frozen):
    """Who compacts, and since when; an owner's name is used once.

    Attributes:
        pid: The process; None of an earlier version.
        process_space: Where its number means something; empty where that was not told.
    """

    model_config = Frozen.model_config | ConfigDict(strict=False)

    owner: str
    taken_at: AwareDatetime
    pid: int | None = None
    process_space: str = ""


@contextmanager
def hold_lock(store: Store, lock: Lock) -> Iterator[None]:
    """Hold the lock of a store while the block runs.

    Raises:
        UserError: Another compaction holds it.
    """
    holder = read_lock(store)
    if holder is not None and abs(lock.taken_at - holder.taken_at) < STALE_AFTER:
        raise _held(store, holder)
    taken = lock.model_copy(update={"taken_at": lock.taken_at.astimezone(UTC)})
    store.write_json(LOCK_PATH, taken.model_dump(mode="json"))
    try:
        _check_still_ours(store, lock.owner)
        yield
    finally:
        left = read_lock(store)
        if left is not None and left.owner == lock.owner:
            store.remove(LOCK_PATH)


def read_lock(store: Store) -> Lock | None:
    """Return the lock that is there; None when there is none, or none that is whole: nobody's."""
    try:
        return Lock.model_validate(store.read_json(LOCK_PATH))
    except ValidationError:
        return None


def _check_still_ours(store: Store, owner: str) -> None:
    holder = read_lock(store)
    if holder is not None and holder.owner != owner:
        raise _held(store, holder)


def _held(store: Store, holder: Lock) -> UserError:
    return user_error(
        f"the store is being compacted by {holder.owner} since {holder.taken_at.isoformat()}",
        where=f"{store.uri}, {LOCK_PATH}",
        mend=f"wait until it ends; if it was killed, remove that file or wait {STALE_AFTER}",
    )
