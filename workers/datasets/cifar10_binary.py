"""The official binary version of CIFAR-10: download, read the archive, decode its records."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from workers.contract.errors import Fault, UserError, user_error
from workers.datasets.cache import alone
from workers.datasets.cifar10_files import (
    ARCHIVE_NAME,
    BINARY_FOLDER,
    MEND,
    TEST_BATCH,
    TRAIN_BATCHES,
)
from workers.datasets.dataset import Split, one_hot

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
NUM_CLASSES = 10

_RECORD_BYTES = 1 + 3 * 32 * 32
_MOST_BATCH_BYTES = 10_000 * _RECORD_BYTES
_MOST_ARCHIVE_BYTES = 6 * _MOST_BATCH_BYTES + 10_000_000
_MOST_MEMBERS = 100


def fetch_archive(folder: Path, url: str = ARCHIVE_URL, sha256: str = ARCHIVE_SHA256) -> Path:
    """Return the archive in a folder, downloaded once a machine and checked by its SHA-256.

    Raises:
        UserError: It cannot be downloaded, or what came is not the archive.
    """
    path = folder / ARCHIVE_NAME
    if path.is_file():
        return path
    with alone(folder / f"{ARCHIVE_NAME}.lock"):
        if not path.is_file():
            _download(path, url, sha256)
    return path


def _download(path: Path, url: str, sha256: str) -> None:
    import pooch  # here: neither is needed where the data are at hand
    import requests

    try:
        pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=path.name, path=path.parent)
    except (requests.RequestException, OSError, ValueError) as error:
        raise user_error(
            f"CIFAR-10 cannot be downloaded from {url} to {path}: {error}",
            where="--data-dir (left out, so the official archive is downloaded)",
            mend=f"fetch {ARCHIVE_NAME} on a machine with a network and give its folder "
            "as --data-dir; MINIMA_CACHE sets where downloads go",
        ) from error


def read_archive(path: Path) -> tuple[Split, Split]:
    """Decode both splits from the archive, which is neither extracted nor trusted.

    Members are found by their exact names; the whole stream is read, so its checksum is verified.

    Raises:
        UserError: The archive is damaged, or a member is missing or malformed.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(path)), mode="r:") as archive:
            members = {member.name: member for member in islice(archive, _MOST_MEMBERS)}
            names = [f"{BINARY_FOLDER}/{batch}" for batch in (*TRAIN_BATCHES, TEST_BATCH)]
            _refuse(fault for name in names for fault in _member_faults(path, name, members))
            batches = [(f"{path}, {name}", _content(archive, members[name])) for name in names]
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise UserError(
            [_bad_archive(path, f"cannot be read as a gzip-compressed tar archive: {error}")]
        ) from error
    return decode_records(batches[:-1]), decode_records(batches[-1:])


def _unpacked(path: Path) -> bytes:
    """Unpack no more than the archive can hold: a small file may stand for any number of bytes."""
    with gzip.open(path) as stream:
        content = stream.read(_MOST_ARCHIVE_BYTES + 1)
    if len(content) > _MOST_ARCHIVE_BYTES:
        what = f"unpacks to more than {_MOST_ARCHIVE_BYTES:,} bytes, which CIFAR-10 has not"
        raise UserError([_bad_archive(path, what)])
    return content


def _member_faults(path: Path, name: str, members: dict[str, tarfile.TarInfo]) -> Iterator[Fault]:
    member = members.get(name)
    if member is None:
        yield Fault(f"{path} holds no file {name}", where="--data-dir", mend=MEND)
    elif not member.isreg():
        yield _bad_archive(path, f"holds {name} as a link or a device, not as a file")
    else:
        yield from _size_faults(f"{path}, {name}", member.size)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _bad_archive(path: Path, fault: str) -> Fault:
    mend = f"remove it and download it again; its SHA-256 is {ARCHIVE_SHA256}"
    return Fault(f"{path} {fault}", where="--data-dir", mend=mend)


def read_files(paths: tuple[Path, ...]) -> Split:
    """Decode one split from extracted files.

    Raises:
        UserError: A file cannot be read or is malformed.
    """
    try:
        files = [path for path in paths if path.is_file()]
        _refuse(fault for path in files for fault in _size_faults(str(path), path.stat().st_size))
        return decode_records([(str(path), path.read_bytes()) for path in paths])
    except OSError as error:
        raise user_error(
            f"CIFAR-10 cannot be read: {error}", where="--data-dir", mend=MEND
        ) from error


def _refuse(faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise UserError(found)


def decode_records(batches: list[tuple[str, bytes]]) -> Split:
    """Decode records of 1 label byte and 3 × 32 × 32 pixel bytes (colour, row, column).

    Args:
        batches: The place, for messages, and the content of each batch, in order.

    Returns:
        Inputs [N, 32, 32, 3] uint8 and one-hot targets [N, 10].

    Raises:
        UserError: Every batch that is empty, not whole records, or holds a label above 9.
    """
    _refuse(fault for place, content in batches for fault in _record_faults(place, content))
    records = np.frombuffer(b"".join(content for _, content in batches), dtype=np.uint8)
    records = records.reshape(-1, _RECORD_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = records[:, 0].astype(np.int64)
    return Split(np.ascontiguousarray(pixels), one_hot(labels, NUM_CLASSES))


def _record_faults(place: str, content: bytes) -> list[Fault]:
    faults = _size_faults(place, len(content))
    if faults:
        return faults
    labels = np.frombuffer(content, dtype=np.uint8)[::_RECORD_BYTES]
    if labels.max() >= NUM_CLASSES:
        row = int(np.argmax(labels >= NUM_CLASSES))
        what = f"{place} has the label {labels[row]} in record {row}; labels are 0 to 9"
        return [Fault(what, where="--data-dir", mend=f"copy it again, or {MEND}")]
    return []


def _size_faults(place: str, num_bytes: int) -> list[Fault]:
    """Find a batch that cannot be one by its size alone, before it is read."""
    what = f"{place} has {num_bytes:,} bytes, "
    if num_bytes > _MOST_BATCH_BYTES:
        what += f"and a batch of CIFAR-10 at most {_MOST_BATCH_BYTES:,}"
    elif not num_bytes or num_bytes % _RECORD_BYTES:
        what += f"not a multiple of {_RECORD_BYTES:,}"
    else:
        return []
    return [Fault(what, where="--data-dir", mend=f"copy it again, or {MEND}")]
