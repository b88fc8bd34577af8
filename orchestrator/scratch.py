"""A private local folder for one run of the command, and an empty place to stand in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "minima-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for this process, removed at the end; those of dead processes go too.

    Ray puts the folder we stand in first on its workers' path, so we stand in an empty one.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    empty = folder / "empty"
    empty.mkdir()
    former = Path.cwd()
    os.chdir(empty)
    try:
        yield folder
    finally:
        os.chdir(former)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        found = re.fullmatch(rf"{_PREFIX}(\d+)-\w+", folder.name)
        if found and folder.stat().st_uid == os.getuid() and not _is_alive(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send what libraries print to standard output to nowhere: it is ours alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
