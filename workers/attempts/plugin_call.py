"""Code of the user's own is called here: what it raises is told as a fault of it, not as a bug of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workers.attempts.failure import classify
from workers.contract.catalog import Kind, is_plugin
from workers.contract.errors import Drained, user_error
from workers.contract.failure_classes import FailureClass

_OF_THE_CODE: tuple[FailureClass, ...] = ("bug", "nonfinite")
"""Classes of failure that the code itself is the cause of; a full memory or disk is not among them."""


@contextmanager
def calling(kind: Kind, name: str, arguments: str) -> Iterator[None]:
    """Tell what a plugin raises by its name; what built-in code raises goes on as it is.

    Args:
        kind: Of the plugin; the key of the sweep it stands under.
        name: "package.module:function".
        arguments: What the function is called with, for the cure.

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
