"""What lies in a folder of this machine, whatever was put there: folders, links to nothing or in a circle.

Names that are not UTF-8 are listed as Python writes them, and no file of such a name is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
    return dict(_marks(root, folder, recursive=recursive, above=()))


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


def _marks(
    root: Path, folder: str, *, recursive: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, Mark]]:
    for entry in _entries(root / folder):
        path, status = f"{folder}/{entry.name}".lstrip("/"), _status(entry)
        if recursive and status is not None and stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            if inode not in above:
                yield from _marks(root, path, recursive=True, above=(*above, inode))
        elif status is not None and stat.S_ISREG(status.st_mode):
            yield path, Mark(status.st_size, status.st_mtime_ns)
        elif entry.name.endswith(_READ_AS_FILES) and (status is not None or entry.is_symlink()):
            yield path, Mark(0, None)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        if os.path.lexists(folder):
            raise
        return []


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Ask what an entry is, links followed; None where it is gone, or a link that leads nowhere."""
    with suppress(OSError):
        return entry.stat()
    return None
