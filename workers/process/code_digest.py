"""The digest of our own source files: which code a machine runs, and which code made a record."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
"""The folder that holds the packages."""

PACKAGES = ("orchestrator", "workers", "analysis")
_THAT_DECIDE_NUMBERS = ("workers",)


def code_digest(home: Path, packages: Sequence[str] = PACKAGES) -> str:
    """Hash the names and contents of the source files of packages below a folder."""
    found = hashlib.sha256()
    for package in packages:
        for path in sorted((home / package).rglob("*.py")):
            content = path.read_bytes()
            found.update(f"{path.relative_to(home).as_posix()}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()[:20]


@functools.cache  # files may change under a process, which goes on with what it has imported
def running_code() -> str:
    """Return the digest of the code that trains and measures, as this process found it when first asked."""
    return code_digest(HOME, _THAT_DECIDE_NUMBERS)
