"""What a node runs when it is asked: Ray's worker there imports this alone, not the driver with its Tune."""

from __future__ import annotations

import os
from collections.abc import Callable


def call_without_gpus(function: Callable[[str], str], question: str) -> str:
    """Call a function in a process that sees no GPU from now on."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return function(question)
