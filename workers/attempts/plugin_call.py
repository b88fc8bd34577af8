"""Calls of the user's own code: what it raises is reported as its fault, not as a bug of ours."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from workers.attempts.failure import classify
from workers.contract.catalog import Kind, is_plugin
from workers.contract.errors import Drained, user_error
from workers.contract.failure_classes import FailureClass
from workers.contract.plugin_call import PluginCall, PluginLeft, having_the_word, message_of
from workers.contract.specs import TrialSpec

_OF_THE_CODE: tuple[FailureClass, ...] = ("bug", "nonfinite")
"""Classes of failure whose cause is the code itself; a full memory or disk is not among them."""

_KEYS: dict[Kind, str] = {
    "model": "model.name", "dataset": "dataset.name", "loss": "loss", "statistic": "measure",
}  # fmt: skip


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
    if not is_plugin(name):
        yield
        return
    call = PluginCall(kind=kind, name=name, where=_KEYS[kind])
    try:
        with having_the_word(call):
            yield
    except Drained:
        raise
    except Exception as error:
        if classify(error) not in _OF_THE_CODE:
            raise
        raise user_error(
            f"the {kind} {name!r} raised {message_of(error)}",
            where=_KEYS[kind],
            mend=f"mend the code, which is called with {arguments}; the log shows the line",
        ) from error


def as_fault_of_plugin(error: Exception | SystemExit, trial: TrialSpec) -> Exception:
    """Return an error that was raised in a plugin's file, where training calls it, as its fault.

    Layers and losses of the user's own are called from within TensorFlow, at every step if they like. What
    was raised elsewhere is returned as it is.
    """
    keys = {"model.name": trial.model.name, "dataset.name": trial.dataset.name, "loss": trial.loss}
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    if isinstance(error, SystemExit) or classify(error) in _OF_THE_CODE:
        for where, name in keys.items():
            if is_plugin(name) and _file_of(name) in files:
                return user_error(
                    f"{name!r} raised {message_of(error)}",
                    where=where,
                    mend="mend the code; the log shows the line",
                ).with_traceback(error.__traceback__)
    return error if isinstance(error, Exception) else PluginLeft(message_of(error))


def _file_of(name: str) -> str | None:
    return getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
