"""The kinds of failure, as view `failures` names them; what is done about each is the orchestrator's to say."""

from __future__ import annotations

from typing import Literal

FailureClass = Literal[
    "user_error",
    "bug",
    "nonfinite",
    "model_lost",
    "conflict",
    "gpu_out_of_memory",
    "gpu_busy",
    "host_out_of_memory",
    "device",
    "storage",
    "hang",
    "crash",
    "worker_lost",
    "node_lost",
    "preempted",
]
"""A view may hold others, written by another version of the code."""
