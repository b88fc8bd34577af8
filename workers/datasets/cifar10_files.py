"""Find CIFAR-10 in a folder: the official binary archive, its files, or Parquet; never a pickle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from workers.contract.errors import Fault, UserError, user_error
from workers.datasets.cache import file_key
from workers.datasets.parquet_shards import ParquetFolder, parquet_folder

ARCHIVE_NAME = "cifar-10-binary.tar.gz"
BINARY_FOLDER = "cifar-10-batches-bin"
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"

_PICKLES = ("cifar-10-python.tar.gz", "cifar-10-batches-py", "batches.meta")
_HUB_CACHE = re.compile(r"datasets--.*cifar-?10(?![0-9]).*", re.IGNORECASE)
_DECODER_VERSION = 1
"""Raised by hand when the same files are decoded to other arrays."""

MEND = (
    f"give a folder that holds {ARCHIVE_NAME}, or its extracted {BINARY_FOLDER}/, or Parquet files "
    "as the Hugging Face hub has them, with images in img or image and the classes in label; "
    "or leave out --data-dir to download the archive"
)


@dataclass(frozen=True)
class Source:
    """The files of one copy of the data set.

    Attributes:
        kind: What they are; an archive is one file with both splits, listed under `train`.
        train: In the order in which their examples are taken.
        test: Likewise.
    """

    kind: Literal["archive", "binary", "parquet"]
    train: tuple[Path, ...]
    test: tuple[Path, ...] = ()

    def key(self) -> JsonValue:
        """Describe the content without reading it: path, size and time of change of every file."""
        files = file_key([*self.train, *self.test])
        return {"decoder": _DECODER_VERSION, "kind": self.kind, "files": files}


def find_source(data_dir: Path) -> Source:
    """Find the data set in a folder: the archive first, then its files, then Parquet.

    Parquet files may lie one level below, and in a snapshot of the Hugging Face hub's cache.

    Raises:
        UserError: There is none, only a pickled one, an incomplete one, or more than one.
    """
    try:
        return _found(data_dir)
    except OSError as error:
        raise user_error(
            f"{data_dir} cannot be looked through: {error}", where="--data-dir", mend=MEND
        ) from error


def _found(data_dir: Path) -> Source:
    if not data_dir.is_dir():
        found = "is not a folder" if data_dir.exists() else "does not exist"
        raise user_error(f"{data_dir} {found}", where="--data-dir", mend=MEND)
    if (data_dir / ARCHIVE_NAME).is_file():
        return Source("archive", (data_dir / ARCHIVE_NAME,))
    for folder in (data_dir, data_dir / BINARY_FOLDER):
        if any((folder / name).is_file() for name in (*TRAIN_BATCHES, TEST_BATCH)):
            return _binary_source(folder)
    parquet = [found for root in _roots(data_dir) for found in _parquet_folders(root)]
    if len(parquet) == 1:
        train, test = parquet[0].splits()
        return Source("parquet", train, test)
    raise UserError([_no_single_source(data_dir, [found.path for found in parquet])])


def _roots(data_dir: Path) -> list[Path]:
    """List where Parquet files are looked for: the folder, and each snapshot of the hub's cache there or below."""
    if data_dir.name == "snapshots":
        return _folders(data_dir)
    caches = [data_dir, *(path for path in _folders(data_dir) if _HUB_CACHE.fullmatch(path.name))]
    snapshots = [revision for cache in caches for revision in _folders(cache / "snapshots")]
    return [data_dir, *snapshots]


def _parquet_folders(root: Path) -> list[ParquetFolder]:
    """Find the folders with a split's files: this one, and those below it that are not its splits themselves."""
    here = parquet_folder(root)
    below = [path for path in _folders(root) if here is None or path.name not in {"train", "test"}]
    return [found for found in (here, *map(parquet_folder, below)) if found is not None]


def _folders(place: Path) -> list[Path]:
    """List the folders in a folder, hidden ones left out; none where there is no such folder."""
    if not place.is_dir():
        return []
    return sorted(
        path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _binary_source(folder: Path) -> Source:
    _refuse_missing(folder, [*TRAIN_BATCHES, TEST_BATCH])
    return Source("binary", tuple(folder / name for name in TRAIN_BATCHES), (folder / TEST_BATCH,))


def _refuse_missing(folder: Path, names: list[str]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise user_error(
            f"{folder} lacks {', '.join(missing)}",
            where="--data-dir",
            mend=f"copy the missing files into {folder}, or {MEND}",
        )


def _no_single_source(data_dir: Path, parquet: list[Path]) -> Fault:
    if parquet:
        names = ", ".join(str(folder) for folder in parquet)
        return Fault(
            f"{data_dir} holds more than one data set of Parquet files: {names}",
            where="--data-dir",
            mend="give one of these folders",
        )
    pickles = [name for name in _PICKLES if (data_dir / name).exists()]
    if pickles:
        return Fault(
            f"{data_dir} holds {pickles[0]}, the Python version of CIFAR-10; it is made of "
            "pickles, which can run code when read, so it is refused",
            where="--data-dir",
            mend=MEND,
        )
    entries = sorted(path.name for path in data_dir.iterdir())
    seen = ", ".join(entries[:8]) + (", …" if len(entries) > 8 else "") if entries else "nothing"
    return Fault(f"no CIFAR-10 in {data_dir}, which holds {seen}", where="--data-dir", mend=MEND)
