"""The official binary version of CIFAR-10: download, read the archive, decode its records."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
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


def fetch_archive(folder: Path, url: str = ARCHIVE_URL, sha256: str = ARCHIVE_SHA256) -> Path:
    """Give the archive in a folder, downloaded once a machine and checked by its SHA-256.

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
        content = gzip.decompress(path.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            train = [_member(archive, path, name) for name in TRAIN_BATCHES]
            test = [_member(archive, path, TEST_BATCH)]
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise user_error(
            f"{path} cannot be read as a gzip-compressed tar archive: {error}",
            where="--data-dir",
            mend=f"remove it and download it again; its SHA-256 is {ARCHIVE_SHA256}",
        ) from error
    return decode_records(train), decode_records(test)


def _member(archive: tarfile.TarFile, path: Path, name: str) -> tuple[str, bytes]:
    member = f"{BINARY_FOLDER}/{name}"
    try:
        stream = archive.extractfile(archive.getmember(member))
    except KeyError:
        stream = None
    if stream is None:
        raise user_error(f"{path} holds no file {member}", where="--data-dir", mend=MEND)
    return f"{path}, {member}", stream.read()


def read_files(paths: tuple[Path, ...]) -> Split:
    """Decode one split from extracted files.

    Raises:
        UserError: A file cannot be read or is malformed.
    """
    try:
        return decode_records([(str(path), path.read_bytes()) for path in paths])
    except OSError as error:
        raise user_error(
            f"CIFAR-10 cannot be read: {error}", where="--data-dir", mend=MEND
        ) from error


def decode_records(batches: list[tuple[str, bytes]]) -> Split:
    """Decode records of 1 label byte and 3 × 32 × 32 pixel bytes (colour, row, column).

    Args:
        batches: The place, for messages, and the content of each batch, in order.

    Returns:
        Inputs [N, 32, 32, 3] uint8 and one-hot targets [N, 10].

    Raises:
        UserError: Every batch that is empty, not whole records, or holds a label above 9.
    """
    faults = [fault for place, content in batches for fault in _record_faults(place, content)]
    if faults:
        raise UserError(faults)
    records = np.frombuffer(b"".join(content for _, content in batches), dtype=np.uint8)
    records = records.reshape(-1, _RECORD_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = records[:, 0].astype(np.int64)
    return Split(np.ascontiguousarray(pixels), one_hot(labels, NUM_CLASSES))


def _record_faults(place: str, content: bytes) -> list[Fault]:
    if not content or len(content) % _RECORD_BYTES:
        what = f"{place} has {len(content):,} bytes, not a multiple of {_RECORD_BYTES:,}"
        return [Fault(what, where="--data-dir", mend=f"copy it again, or {MEND}")]
    labels = np.frombuffer(content, dtype=np.uint8)[::_RECORD_BYTES]
    if labels.max() >= NUM_CLASSES:
        row = int(np.argmax(labels >= NUM_CLASSES))
        what = f"{place} has the label {labels[row]} in record {row}; labels are 0 to 9"
        return [Fault(what, where="--data-dir", mend=f"copy it again, or {MEND}")]
    return []
