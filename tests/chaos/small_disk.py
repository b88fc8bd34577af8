"""A small disk of its own for a store, that can be made read-only or full; where mounting is allowed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from surroundings import STORE

_BYTES = 192 * 2**20


class SmallDisk:
    """A tmpfs at a folder; without the right to mount a plain folder that cannot be spoilt."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.num_spoilt = 0
        self.can_be_spoilt = _mount("-t", "tmpfs", "-o", f"size={_BYTES}", "chaos", str(folder))

    @contextlib.contextmanager
    def spoilt(self, mode: str) -> Iterator[None]:
        """Make it `read-only` or `full` for the duration of a block."""
        self.num_spoilt += 1  # who is refused is not seen
        if mode == "read-only":
            store = str(self.folder / STORE)
            _cover_read_only(store)
            try:
                yield
            finally:
                subprocess.run(["umount", "--lazy", store], check=True)
        else:
            filler = self.folder / ".filler"
            _fill(filler)
            try:
                yield
            finally:
                filler.unlink()

    def close(self) -> None:
        """Take the disk away."""
        if self.can_be_spoilt:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)


def _cover_read_only(store: str) -> None:
    """Mount a folder on itself, read-only; the mount below may have a log open for writing."""
    for _ in range(50):
        assert _mount("--bind", store, store)
        if _mount("-o", "remount,bind,ro", store):
            return
        subprocess.run(["umount", "--lazy", store], check=True)  # a log was opened in between
    raise AssertionError(f"{store} cannot be made read-only")


def _fill(filler: Path) -> None:
    """Take all the space there is; others may take some meanwhile."""
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        for size in (2**20, 2**12):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(size))


def _mount(*arguments: str) -> bool:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True)
    return done.returncode == 0
