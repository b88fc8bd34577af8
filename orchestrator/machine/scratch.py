"""A private local folder for one run of the command, and an empty working directory in it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.machine.processes import is_alive, space_digest
from workers.contract.errors import user_error

_SHORT_PLACE = "/tmp"  # noqa: S108  # what is made in it is ours alone
_LONGEST_SOCKET = 103
"""Longest path of a socket on macOS, in bytes; Linux takes 107."""


@contextlib.contextmanager
def scratch_folder(*, is_for_sockets: bool = False) -> Iterator[Path]:
    """Make a folder for this process, removed at the end; those of dead processes go too.

    Ray puts our working directory first on its workers' path, so we change to an empty one.

    Args:
        is_for_sockets: A local Ray will put its sockets in it, whose paths must be short.

    Raises:
        UserError: No folder can be made.
    """
    try:
        place = place_for_sockets() if is_for_sockets else tempfile.gettempdir()
        folder = Path(tempfile.mkdtemp(prefix=own_prefix(), dir=place))
        empty = folder / "empty"
        empty.mkdir(mode=0o700)
    except OSError as error:
        raise user_error(
            f"no folder for temporary files can be made: {error}",
            where="TMPDIR",
            mend="set it to a folder that can be written, has room, and has a short path",
        ) from error
    remove_abandoned()
    _make_python_path_absolute()
    try:
        with _standing_in(empty):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place_for_sockets() -> str:
    """Return TMPDIR, or /tmp where that is too long, as a batch system's may be."""
    place, pid = tempfile.gettempdir(), os.getpid()
    session = f"ray/session_2000-01-01_00-00-00_000000_{pid}/sockets/plasma_store"
    longest = Path(place, f"{own_prefix()}12345678", session)
    return place if len(os.fsencode(longest)) <= _LONGEST_SOCKET else _SHORT_PLACE


def own_prefix() -> str:
    """Return the prefix of this process's temporary folders, by which their owner is known."""
    return f"{_prefix()}{os.getpid()}-"


@contextlib.contextmanager
def own_folders_removed() -> Iterator[None]:
    """Remove at the end the folders that this process made meanwhile and could not remove.

    A child that ends only after its attempt's folder was removed may have written to it again.
    """
    before = _own_folders()
    try:
        yield
    finally:
        for folder in _own_folders() - before:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Discard what libraries print to standard output, which carries our results alone."""
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


def remove_abandoned() -> None:
    """Remove the folders that killed processes of this machine have left behind."""
    prefix = _prefix()
    places = {Path(tempfile.gettempdir()), Path(place_for_sockets())}
    for folder in (found for place in places for found in place.glob(f"{prefix}*")):
        found = re.fullmatch(rf"{prefix}(\d{{1,9}})-\w+", folder.name)
        if found and not is_alive(int(found[1])) and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix() -> str:
    return f"minima-{space_digest()}-"


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """Change to a folder, then back to where we were, even if that was renamed or removed."""
    former = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    os.chdir(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.fchdir(former)
        os.close(former)


def _own_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{own_prefix()}*"))


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:  # another command removed it first
        return False


def _make_python_path_absolute() -> None:
    """Let processes with another working directory import what this one can."""
    if former := os.environ.get("PYTHONPATH"):
        places = (str(Path(part).absolute()) for part in former.split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(places)
