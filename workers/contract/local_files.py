"""What lies in a folder of this machine, whatever was put there: folders, links to nothing or in a circle.

Names that are not UTF-8 are listed as Python writes them, and no file of such a name is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_READ_AS_FILES = (".parquet", ".json")
"""What is named so is listed though it is no file, that it may be told; see `unreadable`."""


class Mark(NamedTuple):
    """A file's size and the time it was written by the storage's own clock; None where it tells none."""

    num_bytes: int
    written_ns: int | None


def marks_in(root: Path, folder: str, *, recursive: bool) -> dict[str, Mark]:
    """List what a folder holds by path below the root; hidden names are left out. {} when it is not there.

    Folders that links lead to are entered, but none that is entered already.

    Raises:
        OSError: It is there and cannot be listed.
    """
    found: dict[str, Mark] = {}
    for path, entry in _found(root, folder, recursive=recursive):
        status = _status(entry)
        if status is not None and stat.S_ISREG(status.st_mode):
            found[path] = Mark(status.st_size, status.st_mtime_ns)
        elif path.endswith(_READ_AS_FILES) and (status is not None or entry.is_symlink()):
            found[path] = Mark(0, None)
    return found


def names_in(
    root: Path, folder: str, *, recursive: bool, beginnings: tuple[str, ...] = ("",)
) -> list[str]:
    """List the paths that `marks_in` finds, of files whose names begin in one of these ways; no file is asked.

    Raises:
        OSError: It is there and cannot be listed.
    """
    return [
        path
        for path, entry in _found(root, folder, recursive=recursive)
        if entry.name.startswith(beginnings)
        and (path.endswith(_READ_AS_FILES) or _answer(entry.is_file))
    ]


def folders_in(root: Path) -> list[str]:
    """List the folders right below one, sorted; [] when it is not there.

    Raises:
        OSError: It is there and cannot be listed.
    """
    entries = ((entry.name, _status(entry)) for entry in _entries(root))
    return sorted(name for name, status in entries if status and stat.S_ISDIR(status.st_mode))


def unreadable(place: Path) -> str | None:
    """Return why what is there can never be read as a file; None when it can, or is not there."""
    try:
        str(place).encode()
        mode = place.stat().st_mode
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return (
            f"it is a link that leads nowhere: {error.strerror}" if os.path.lexists(place) else None
        )
    if not stat.S_ISREG(mode):
        return f"it is {'a folder' if stat.S_ISDIR(mode) else 'no file'}"
    return None if os.access(place, os.R_OK) else "it may not be read by this user"


def _found(
    root: Path, folder: str, *, recursive: bool, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Find entries by path; of folders, where they are entered, those within."""
    for entry in _entries(root / folder):
        path = f"{folder}/{entry.name}".lstrip("/")
        if not (recursive and _answer(entry.is_dir)):
            yield path, entry
        elif (status := _status(entry)) is not None:
            inode = (status.st_dev, status.st_ino)
            if inode not in above:
                yield from _found(root, path, recursive=True, above=(*above, inode))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        if os.path.lexists(folder):
            raise
        return []


def _answer(question: Callable[[], bool]) -> bool:
    """Ask an entry; of a link in a circle the answer is no."""
    with suppress(OSError):
        return question()
    return False


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Ask what an entry is, links followed; None where it is gone, or a link that leads nowhere."""
    with suppress(OSError):
        return entry.stat()
    return None
