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
    remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    empty = folder / "empty"
    empty.mkdir()
    former = Path.cwd()
    _make_python_path_absolute()
    os.chdir(empty)
    try:
        yield folder
    finally:
        os.chdir(former)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_folders_removed() -> Iterator[None]:
    """Remove at the end what this process made meanwhile and could not remove.

    A child that is ended only after its attempt's folder may have written into that once more.
    """
    before = _own_folders()
    try:
        yield
    finally:
        for folder in _own_folders() - before:
            shutil.rmtree(folder, ignore_errors=True)


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


def is_alive(pid: int) -> bool:
    """Say whether a process of this machine runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _own_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{_PREFIX}{os.getpid()}-*"))


def remove_abandoned() -> None:
    """Remove the folders that killed processes of this machine have left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        found = re.fullmatch(rf"{_PREFIX}(\d{{1,9}})-\w+", folder.name)
        if found and not is_alive(int(found[1])) and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:  # another command was quicker
        return False


def _make_python_path_absolute() -> None:
    """Let processes that stand elsewhere import what this one can."""
    if former := os.environ.get("PYTHONPATH"):
        places = (str(Path(part).absolute()) for part in former.split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(places)
