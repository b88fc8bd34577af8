"""Decoded data and facts about them, kept on this machine's disk: a cache, never a source of truth.

Every file appears whole, by a rename; one that is missing or damaged is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from workers.contract.local_folder import local_folder
from workers.datasets.dataset import Split, digest_of

_PARTS = ("train_inputs", "train_targets", "test_inputs", "test_targets")


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return $MINIMA_CACHE, else $XDG_CACHE_HOME/minima, else ~/.cache/minima.

    Raises:
        UserError: There is no home folder, or the folder we stand in is gone.
    """
    if environment.get("MINIMA_CACHE"):
        return local_folder(environment["MINIMA_CACHE"], "MINIMA_CACHE")
    if environment.get("XDG_CACHE_HOME"):
        return local_folder(environment["XDG_CACHE_HOME"], "XDG_CACHE_HOME") / "minima"
    return local_folder("~/.cache/minima", "MINIMA_CACHE")


def key_digest(key: JsonValue) -> str:
    """Return the name of a cache entry by what its content depends on."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def file_key(paths: list[Path]) -> JsonValue:
    """Describe files by path, size and time of change, without reading them."""
    found = [(path.resolve(), path.stat()) for path in paths]
    return [[str(path), status.st_size, status.st_mtime_ns] for path, status in found]


def read_json(path: Path) -> JsonValue:
    """Read a cached document; None when there is none or it is damaged."""
    try:
        value: JsonValue = json.loads(path.read_bytes())
        return value
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: JsonValue) -> None:
    """Write a document whole."""
    write_whole(path, lambda stream: stream.write(json.dumps(value).encode()))


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file and rename it; a cache that cannot be written is warned of."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            write(stream)
        temporary.replace(path)
    except OSError as error:
        warnings.warn(
            f"the cache cannot be written ({error}), so data are decoded each time; "
            "set MINIMA_CACHE to a folder that can be written",
            stacklevel=2,
        )
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process of this machine in at a time; where no lock can be made, all of them."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def decoded_splits(
    folder: Path, key: JsonValue, decode: Callable[[], tuple[Split, Split]]
) -> tuple[Split, Split, str]:
    """Return both splits and their digest, decoded at most once a machine for each key.

    Arrays lie as `.npy` under their digest and are mapped into memory; every value is hashed again
    when they are read, so a damaged cache is seen and replaced.
    """
    note = folder / "digests" / f"{key_digest(key)}.json"
    with alone(folder / "locks" / f"{key_digest(key)}.lock"):
        stored = _read_splits(folder, read_json(note))
        if stored is not None:
            return stored
        train, test = decode()
        digest = digest_of(train, test)
        for name, array in zip(_PARTS, _arrays(train, test), strict=True):
            _write_array(_array_path(folder, digest, name), array)
        write_json(note, digest)
        return train, test, digest


def _read_splits(folder: Path, digest: JsonValue) -> tuple[Split, Split, str] | None:
    if not isinstance(digest, str):
        return None
    try:
        parts = [
            np.load(_array_path(folder, digest, name), mmap_mode="r", allow_pickle=False)
            for name in _PARTS
        ]
    except (OSError, ValueError, EOFError):
        return None
    train, test = Split(parts[0], parts[1]), Split(parts[2], parts[3])
    return (train, test, digest) if digest_of(train, test) == digest else None


def _arrays(train: Split, test: Split) -> tuple[npt.NDArray[np.generic], ...]:
    return train.inputs, train.targets, test.inputs, test.targets


def _array_path(folder: Path, digest: str, name: str) -> Path:
    return folder / "arrays" / digest / f"{name}.npy"


def _write_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    write_whole(path, lambda stream: np.save(stream, array, allow_pickle=False))
