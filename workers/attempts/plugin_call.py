"""Calls of the user's own code: what it raises is reported as its fault, not as a bug of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workers.attempts.failure import classify
from workers.contract.catalog import Kind, is_plugin
from workers.contract.errors import Drained, user_error
from workers.contract.failure_classes import FailureClass

_OF_THE_CODE: tuple[FailureClass, ...] = ("bug", "nonfinite")
"""Classes of failure whose cause is the code itself; a full memory or disk is not among them."""


@contextmanager
def calling(kind: Kind, name: str, arguments: str) -> Iterator[None]:
    """Report what a plugin raises under its name; what built-in code raises passes unchanged.

    Args:
        kind: The kind of plugin, which is its key in the sweep.
        name: "package.module:function".
        arguments: What the function is called with, for the message.

    Raises:
        UserError: The plugin raised an exception of its own.
    """
    try:
        yield
    except Drained:
        raise
    except Exception as error:
        if not is_plugin(name) or classify(error) not in _OF_THE_CODE:
            raise
        raise user_error(
            f"the {kind} {name!r} raised {type(error).__name__}: {error}",
            where="measure" if kind == "statistic" else f"{kind}.name" if kind != "loss" else kind,
            mend=f"mend the code, which is called with {arguments}; the log shows the line",
        ) from error
