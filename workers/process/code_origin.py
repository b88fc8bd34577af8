"""Where the running code comes from: its version, and the commit that a checkout or the installation tells.

`git` itself is not run, and need not be there.
"""

from __future__ import annotations

import functools
import json
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from workers.contract.distribution import DISTRIBUTION, installed_version
from workers.process.code_digest import HOME

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE = re.compile(r"ref: (refs/\S+)")


@dataclass(frozen=True)
class CodeOrigin:
    """Which release of our code a process runs.

    Attributes:
        python_version: Of the interpreter.
        code_version: Of the installed package; None where it is not installed.
        code_commit: None where nothing tells it. Whether files were changed since, `running_code` tells.
    """

    python_version: str
    code_version: str | None
    code_commit: str | None


@functools.cache  # as `running_code`: what is installed or checked out may move on under a process
def running_origin() -> CodeOrigin:
    """Return where the code comes from, as this process found it when first asked."""
    commit = commit_of_checkout(HOME) or commit_of_installation(HOME)
    return CodeOrigin(platform.python_version(), installed_version(), commit)


def commit_of_checkout(home: Path) -> str | None:
    """Read which commit is checked out in a folder that is a git checkout of its own, or a worktree of one.

    A checkout further up is not asked: a virtual environment in somebody's project is no part of it.
    """
    try:
        folder = _git_folder(home / ".git")
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        reference = _REFERENCE.fullmatch(head)
        return _commit(_target(folder, reference[1]) if reference else head)
    except (OSError, ValueError):  # none there, unreadable, or not as git writes it
        return None


def commit_of_installation(home: Path) -> str | None:
    """Read which commit the package in a folder was installed from, as installers note it (PEP 610).

    The address beside it, which may hold a password, is not looked at.
    """
    try:
        installed = distribution(DISTRIBUTION)
        if Path(str(installed.locate_file(""))).resolve() != home.resolve():
            return None
        noted = json.loads(installed.read_text("direct_url.json") or "{}")
        return _commit(str(noted["vcs_info"]["commit_id"]))
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None


def _git_folder(path: Path) -> Path:
    """Return the folder of HEAD: `.git` itself, or the one that the file `.git` of a worktree names."""
    if path.is_dir():
        return path
    return path.parent / path.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")


def _target(folder: Path, reference: str) -> str:
    """Return what a branch points to: a file of its own, or a line of `packed-refs`."""
    common = folder / "commondir"  # where a worktree shares the branches of its repository
    shared = folder / common.read_text(encoding="utf-8").strip() if common.exists() else folder
    if (shared / reference).is_file():
        return (shared / reference).read_text(encoding="utf-8").strip()
    packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    lines = [line.split(" ", 1) for line in packed if not line.startswith(("#", "^"))]
    return next((parts[0] for parts in lines if parts[1:] == [reference]), "")


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None
