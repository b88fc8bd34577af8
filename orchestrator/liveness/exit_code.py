"""The exit code that a command decided, for what has to end its process before the interpreter would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_decided: list[int] = []


@contextlib.contextmanager
def code_noted() -> Iterator[None]:
    """Note the exit code that a block leaves with."""
    try:
        yield
    except SystemExit as left:
        if isinstance(left.code, int):
            _decided.append(left.code)
        raise


def decided_code(otherwise: int) -> int:
    """Return the exit code that was noted last; `otherwise` where none was."""
    return _decided[-1] if _decided else otherwise
