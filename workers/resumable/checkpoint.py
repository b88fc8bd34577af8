"""Checkpoints of one piece of work: files named by number and digest, of which the last two are kept.

Training numbers them by the steps done. What saves states whose progress does not always rise numbers
them in the order of saving.

A file is trusted only when its bytes have the digest in its name and it was saved under the same
conditions; a truncated, altered or foreign one is skipped for the one before.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from workers.contract.store import Store

Arrays = Mapping[str, npt.NDArray[np.generic]]

_CONDITIONS = "conditions"
_NUM_KEPT = 2
_LISTINGS = 10
"""How often the folder is listed again because another attempt has pruned the listed files."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """The content of a checkpoint: its number, in training the steps done, and all needed to continue."""

    done: int
    arrays: dict[str, npt.NDArray[np.generic]]


class _SavedFile(NamedTuple):
    done: int
    path: str


@final
class Checkpoints:
    """The checkpoints in one folder of the store.

    Args:
        store: Where they are.
        folder: Shared by all attempts at the same work.
        attempt_id: Part of the names of the files that this attempt writes.
        conditions: Everything that must be equal for a saved state to be continued, such as the
            environment that determined its bits.
    """

    def __init__(
        self, store: Store, folder: str, *, attempt_id: str, conditions: Mapping[str, str]
    ) -> None:
        self._store, self._folder, self._attempt_id = store, folder, attempt_id
        self._conditions = json.dumps(dict(conditions), sort_keys=True)
        self._written: list[_SavedFile] = []
        self._spared: set[_SavedFile] = set()

    def save(self, done: int, arrays: Arrays) -> None:
        """Publish a checkpoint, then remove those that our last two supersede.

        Those of other conditions stay, for who saved them may be back.

        Raises:
            StoreError: The store cannot be written.
        """
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **{_CONDITIONS: np.array(self._conditions), **arrays})
        content = stream.getvalue()
        name = Store.checkpoint_name(done, _digest(content), self._attempt_id)
        path = f"{self._folder}/{name}"
        self._store.write_bytes(path, content)
        self._written.append(_SavedFile(done, path))
        self._prune()

    def largest_number(self) -> int:
        """Return the largest number of any file, sound or not; 0 when there is none.

        Raises:
            StoreError: The store cannot be read.
        """
        return max((file.done for file in self._files()), default=0)

    def newest(self) -> Saved | None:
        """Read the intact checkpoint of our conditions with the largest number; None when there is none.

        Raises:
            StoreError: The store cannot be read.
        """
        for _ in range(_LISTINGS):
            files = sorted(self._files(), reverse=True)
            for file in files:
                arrays = self._read(file)
                if arrays is not None:
                    return Saved(file.done, arrays)
            if not files or set(files) <= set(self._files()):
                break
        return None

    def _files(self) -> list[_SavedFile]:
        found = [(Store.checkpoint_parts(path), path) for path in self._store.names(self._folder)]
        return [_SavedFile(parts[0], path) for parts, path in found if parts is not None]

    def _read(self, file: _SavedFile) -> dict[str, npt.NDArray[np.generic]] | None:
        """Read a checkpoint's arrays [...] by name; None if it cannot be trusted."""
        arrays = self._decoded(file)
        if arrays is None:
            _log.warning("passed over a damaged checkpoint: %s", file.path)
            return None
        saved_under = str(arrays.pop(_CONDITIONS, ""))
        if saved_under != self._conditions:
            _log.warning(
                "passed over a checkpoint of other conditions: %s was saved under %s, now %s",
                file.path,
                saved_under,
                self._conditions,
            )
            return None
        return arrays

    def _prune(self) -> None:
        self._written.sort()
        if len(self._written) < _NUM_KEPT:
            return
        kept = self._written[-_NUM_KEPT:]
        for file in self._files():
            is_superseded = file.done < kept[0].done or file in self._written
            if is_superseded and file not in kept and not self._is_spared(file):
                self._store.remove(file.path)
        self._written = kept

    def _is_spared(self, file: _SavedFile) -> bool:
        """Whether a file was saved under other conditions; each is read once."""
        if file not in self._written and file not in self._spared:
            arrays = self._decoded(file)
            if arrays is not None and str(arrays.get(_CONDITIONS, "")) != self._conditions:
                self._spared.add(file)
        return file in self._spared

    def _decoded(self, file: _SavedFile) -> dict[str, npt.NDArray[np.generic]] | None:
        """Return a file's arrays [...] by name, with its conditions; None if it is lost or damaged."""
        content = self._store.read_bytes(file.path)
        return None if content is None else _decode(file.path, content)


def remove_checkpoints(store: Store, folder: str) -> None:
    """Remove all checkpoints of a piece of work, once its result is committed, and what killed writers left."""
    for path in store.names(folder, recursive=True):
        store.remove(path)
    local = store.local_path(folder)
    if local is not None and local.is_dir():
        for unfinished in list(local.rglob(".*")):  # hidden, and so in no list of names
            with contextlib.suppress(OSError):
                unfinished.unlink()
        for emptied in sorted((*local.rglob("*/"), local), reverse=True):
            with contextlib.suppress(OSError):  # another attempt still writes there
                emptied.rmdir()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _decode(path: str, content: bytes) -> dict[str, npt.NDArray[np.generic]] | None:
    """Return a file's arrays [...] by name; None if its digest is not that of its name."""
    parts = Store.checkpoint_parts(path)
    if parts is None or parts[1] != _digest(content):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except (ValueError, OSError, zipfile.BadZipFile):
        return None
