"""Where a store is: whether one is there, and whether one could be."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from workers.contract import filesystem
from workers.contract.errors import Fault, user_error
from workers.contract.schema import VIEWS
from workers.contract.store import Store

STORE_FOLDERS = frozenset({"sweeps", *VIEWS})
"""At least one of them is there once a sweep was planned."""


def open_existing(uri: str, where: str = "--store") -> Store:
    """Open a store that is there, to read it; nothing is made.

    Raises:
        UserError: There is no such folder, or it holds none of a store's.
        StoreError: The place cannot be read.
    """
    store = Store.open(uri)
    local = store.root.local
    if local is not None and not local.is_dir():
        fault = f"there is no folder {local}"
    elif STORE_FOLDERS.isdisjoint(filesystem.folders(store.root)):
        fault = f"{store.uri} is not a store: it holds none of {', '.join(sorted(STORE_FOLDERS))}"
    else:
        return store
    mend = "give the place that `minima run --store` wrote to, by default ./minima-store"
    raise user_error(fault, where=where, mend=mend)


def place_faults(store: Store) -> list[Fault]:
    """Return what is wrong with a local store's place, without touching it."""
    if store.root.local is None:
        return []
    there = _nearest(store.root.local)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return []
    kind = "cannot be written" if there.is_dir() else "is not a folder"
    mend = "choose a place that can be written"
    return [Fault(f"the store cannot be at {store.uri}: {there} {kind}", "--store", mend)]


def check_writable(store: Store) -> None:
    """Write and remove a probe; of a local store that is not there yet, in the nearest folder above.

    Raises:
        UserError: The store cannot be written.
    """
    probe = f"minima-probe-{secrets.token_hex(4)}"
    local = store.root.local
    root = store.root if local is None else filesystem.open_root(str(_nearest(local)))
    try:
        filesystem.publish(root, probe, b"probe")
        filesystem.remove(root, probe)
    except Exception as error:
        raise user_error(
            str(error), where="--store", mend="choose a place that can be written"
        ) from error


def _nearest(place: Path) -> Path:
    """Return the place itself, or the nearest folder above it that is there."""
    return next(path for path in (place, *place.parents) if _is_there(path))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be entered
        return False
