"""Find CIFAR-10 in a folder: the official binary archive, its files, or Parquet; never a pickle."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from workers.contract.errors import Fault, UserError, user_error
from workers.datasets.cache import file_key

ARCHIVE_NAME = "cifar-10-binary.tar.gz"
BINARY_FOLDER = "cifar-10-batches-bin"
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"

_PICKLES = ("cifar-10-python.tar.gz", "cifar-10-batches-py", "batches.meta")
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")
_DECODER_VERSION = 1
"""Raised by hand when the same files are decoded to other arrays."""

MEND = (
    f"give a folder that holds {ARCHIVE_NAME}, or its extracted {BINARY_FOLDER}/, or Parquet files "
    "train*.parquet and test*.parquet with the columns img.bytes and label; "
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
    """Find the data set in a folder or one level below it: archive first, then files, then Parquet.

    Raises:
        UserError: There is none, only a pickled one, an incomplete one, or more than one.
    """
    if not data_dir.is_dir():
        found = "is not a folder" if data_dir.exists() else "does not exist"
        raise user_error(f"{data_dir} {found}", where="--data-dir", mend=MEND)
    below = sorted(p for p in data_dir.iterdir() if p.is_dir() and not p.name.startswith("."))
    if (data_dir / ARCHIVE_NAME).is_file():
        return Source("archive", (data_dir / ARCHIVE_NAME,))
    for folder in (data_dir, data_dir / BINARY_FOLDER):
        if any((folder / name).is_file() for name in (*TRAIN_BATCHES, TEST_BATCH)):
            return _binary_source(folder)
    parquet = [folder for folder in (data_dir, *below) if any(folder.glob("train*.parquet"))]
    if len(parquet) == 1:
        return _parquet_source(parquet[0])
    raise UserError([_no_single_source(data_dir, parquet)])


def _binary_source(folder: Path) -> Source:
    _refuse_missing(folder, [*TRAIN_BATCHES, TEST_BATCH])
    return Source("binary", tuple(folder / name for name in TRAIN_BATCHES), (folder / TEST_BATCH,))


def _parquet_source(folder: Path) -> Source:
    train, test = (tuple(sorted(folder.glob(f"{split}*.parquet"))) for split in ("train", "test"))
    if not test:
        raise user_error(f"{folder} holds no test*.parquet", where="--data-dir", mend=MEND)
    _refuse_missing(folder, _announced_shards((*train, *test)))
    return Source("parquet", train, test)


def _announced_shards(paths: Iterable[Path]) -> list[str]:
    """List the names that files called like train-00000-of-00003.parquet say there are."""
    names: dict[str, None] = {}
    for path in paths:
        match = _SHARD.search(path.name)
        if match:
            stem, (digits, total) = path.name[: match.start()], match.groups()
            names |= {
                f"{stem}-{number:0{len(digits)}}-of-{total}.parquet": None
                for number in range(int(total))
            }
    return list(names)


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
