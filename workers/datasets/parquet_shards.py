"""Which Parquet files of a folder are the two splits, in what order; every other one is refused by name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workers.contract.errors import Fault, UserError

NAMES = "train.parquet, train-00000-of-00001.parquet, train-0.parquet, or train/0000.parquet"

_SPLITS = ("train", "test")
_SHARD = re.compile(
    r"(?P<split>train|test)"
    r"(?:(?P<dash>[-_.])(?P<number>[0-9]+)(?:-of-(?P<total>[0-9]+)(?P<digest>-[0-9a-f]{16})?)?)?"
    r"\.parquet"
)
_BARE_NUMBER = re.compile(r"(?P<number>[0-9]+)\.parquet")
_MOST_NAMED = 4


@dataclass(frozen=True)
class _Shard:
    """A file with its place in a split.

    Attributes:
        naming: The same for all files that are named alike but for their number.
        number: Of this file, counted from 0.
        total: How many there are, where the name tells.
    """

    path: Path
    naming: str
    number: int
    total: int | None


@dataclass(frozen=True)
class ParquetFolder:
    """A folder that holds files named like a split's."""

    path: Path
    shards: dict[str, list[_Shard]]
    strays: list[Path]

    def splits(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """List the files of the training and the test split, in the order of their numbers.

        Raises:
            UserError: A file belongs to no split, is no regular one, or a split has no files, two
                namings, a number twice, or a gap.
        """
        faults = list(self._stray_faults())
        for split in _SPLITS:
            faults += self._split_faults(split)
        if faults:
            raise UserError(faults)
        train, test = (
            tuple(
                shard.path for shard in sorted(self.shards[split], key=lambda shard: shard.number)
            )
            for split in _SPLITS
        )
        return train, test

    def _stray_faults(self) -> Iterator[Fault]:
        if self.strays:
            what = f"{self.path} holds {_named(self.strays, self.path)}, which belongs to no split by its name"
            mend = f"move it elsewhere; a split's files are named {NAMES}"
            yield Fault(what, "--data-dir", mend)
        for shard in [shard for split in _SPLITS for shard in self.shards[split]]:
            if not shard.path.is_file():
                what = f"{shard.path} is no regular file, but a folder, a device or a broken link"
                yield Fault(what, "--data-dir", "put the file itself there")

    def _split_faults(self, split: str) -> Iterator[Fault]:
        namings: dict[str, list[_Shard]] = defaultdict(list)
        for shard in self.shards[split]:
            namings[shard.naming].append(shard)
        if not namings:
            mend = f"copy them into it; a split's files are named {NAMES}"
            yield Fault(f"{self.path} holds no {split}*.parquet", "--data-dir", mend)
        if len(namings) > 1:
            firsts = [min(found, key=lambda shard: shard.number) for found in namings.values()]
            what = (
                f"{self.path} holds files of {len(namings)} namings for the {split} split, "
                f"which would count twice: {_named([shard.path for shard in firsts], self.path)}"
            )
            yield Fault(what, "--data-dir", "keep the files of one, and move the others elsewhere")
        for shards in namings.values():
            yield from _number_faults(self.path, shards)


def parquet_folder(folder: Path) -> ParquetFolder | None:
    """Sort the Parquet files of a folder, and of its folders train and test; None where none is named like a split's.

    Hidden files are passed over.

    Raises:
        OSError: A folder cannot be listed.
    """
    shards: dict[str, list[_Shard]] = {split: [] for split in _SPLITS}
    strays = []
    places = [(folder, None), *((folder / split, split) for split in _SPLITS)]
    for place, split in places:
        for path in _parquet_files(place):
            found = _shard(path, split)
            if found is None:
                strays.append(path)
            else:
                shards[found[0]].append(found[1])
    is_like_a_split = any(shards.values()) or any(
        split in path.name.lower() for path in strays for split in _SPLITS
    )
    return ParquetFolder(folder, shards, strays) if is_like_a_split else None


def _parquet_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = (path for path in folder.iterdir() if path.name.lower().endswith(".parquet"))
    return sorted(path for path in names if not path.name.startswith("."))


def _shard(path: Path, of_split: str | None) -> tuple[str, _Shard] | None:
    """Read a file's name, with the split that its folder stands for, if any."""
    place = f"{of_split}/" if of_split else ""
    bare = _BARE_NUMBER.fullmatch(path.name) if of_split else None
    if of_split and bare:
        return of_split, _Shard(path, place, int(bare["number"]), None)
    match = _SHARD.fullmatch(path.name)
    if match is None or of_split not in {None, match["split"]}:
        return None
    number = int(match["number"] or 0)
    total = int(match["total"]) if match["total"] else None
    if total is not None and match["dash"] != "-":
        return None
    naming = f"{place}{match['dash'] or ''}{total if total is not None else ''}"
    return match["split"], _Shard(path, naming, number, total)


def _number_faults(folder: Path, shards: Sequence[_Shard]) -> Iterator[Fault]:
    """Find numbers that stand twice, are beyond the total, or are missing."""
    by_number: dict[int, list[Path]] = defaultdict(list)
    for shard in shards:
        by_number[shard.number].append(shard.path)
    for number, paths in by_number.items():
        if len(paths) > 1:
            what = f"{folder} holds shard {number} twice: {_named(paths, folder)}"
            yield Fault(what, "--data-dir", "keep one of them")
    total = shards[0].total
    if total is not None and max(by_number) >= total:
        what = f"{by_number[max(by_number)][0]} is beyond the last of {total} shards, number {total - 1}"
        yield Fault(what, "--data-dir", "shards are numbered from 0: mend the name, or remove it")
        return
    wanted = max(by_number) + 1 if total is None else total
    num_missing = wanted - len(by_number)
    if num_missing:
        missing = (number for number in range(wanted) if number not in by_number)
        first = [_numbered(shards[0], number) for number in islice(missing, _MOST_NAMED)]
        what = f"{folder} lacks {_named(first, folder, num_missing - len(first))}"
        mend = f"copy the missing files into {folder}; shards are numbered from 0"
        yield Fault(what, "--data-dir", mend)


def _numbered(like: _Shard, number: int) -> Path:
    """Return the name of the file of another shard, its number as wide as this one's."""

    def renumbered(match: re.Match[str]) -> str:
        return f"{number:0{len(match[0])}}" if match[0].startswith("0") else str(number)

    name = re.sub(r"-[0-9a-f]{16}(?=\.parquet)", "-…", like.path.name)
    return like.path.with_name(re.sub(r"[0-9]+", renumbered, name, count=1))


def _named(paths: Sequence[Path], folder: Path, num_more: int = 0) -> str:
    """List files as they lie in the folder, the first few of many."""
    names = [path.relative_to(folder).as_posix() for path in paths[:_MOST_NAMED]]
    num_more += len(paths) - len(names)
    return f"{', '.join(names)}{f' and {num_more:,} more' if num_more else ''}"
