"""Which cores a process may use, given by its environment."""

from __future__ import annotations

import contextlib
import os

CORES_VARIABLE = "MINIMA_CORES"
"""Holds the cores of a trial, as in "0,3"; empty or not set where it may use all."""


def pin_to_cores(cores: str) -> None:
    """Keep the calling thread, and every thread it starts from now on, on the cores named.

    Bits do not depend on it: TensorFlow's threads are set by the order, not by the visible cores.
    Where a system cannot pin, or a core was removed meanwhile, all cores stay allowed.
    """
    if cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
