"""A slot whose code is not the driver's refuses what it is given: its numbers would be of other code."""

from __future__ import annotations

import socket

from orchestrator.slots.failures import Failure
from workers.process.code_digest import running_code


def refusal_of(code_digest: str) -> str | None:
    """Return why this process takes no task of a driver that runs the code of a digest; None where it does."""
    own = running_code()
    if own == code_digest:
        return None
    return (
        f"node {socket.gethostname()} holds other code ({own}) than the driver ({code_digest}); "
        "install the same version there"
    )


def failure_of_refusal(reason: str) -> Failure:
    """Classify a refusal; the trial has no part in it."""
    return Failure("other_code", "other code on the node", reason)
