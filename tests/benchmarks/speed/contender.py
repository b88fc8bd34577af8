"""One contender in a process of its own: builds a network, then takes steps when it is told to.

    python contender.py '{"name": "minima", "depth": 20, "batch_size": 100, "threads": 2, "precision": "float32"}'

Answers each line of standard input, a number of steps, by a line of JSON with the seconds they took, after a few
that do not count; before that, one with the seconds until the first step was done. PyTorch and TensorFlow never share a process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

_MODULES = {
    "minima": "own_loop",
    "keras": "keras_fit",
    "keras-jit": "keras_fit",
    "torch": "torch_loop",
    "torch-channels-last": "torch_loop",
    "torch-compiled": "torch_loop",
}
NAMES = tuple(_MODULES)

NUM_EXAMPLES = 2000
"""Of random pixels and labels: what a step costs does not depend on them."""

LEARNING_RATE = 0.01

WARM_STEPS = 2
"""Taken before each burst, untimed."""


@dataclass(frozen=True)
class Job:
    """What a contender trains.

    Attributes:
        name: Which loop, and how; one of `NAMES`.
        depth: Of a CIFAR ResNet (He et al. 2015): 6n + 2.
        batch_size: Images of one step.
        threads: Of one operation.
        precision: `float32`, or `bfloat16`: products in bfloat16, weights, statistics and loss in float32.
    """

    name: str
    depth: int
    batch_size: int
    threads: int
    precision: str


Steps = Callable[[int], None]
"""Takes so many steps of SGD and returns when they are done."""


def main() -> None:
    """Serve until standard input ends."""
    job = Job(**json.loads(sys.argv[1]))
    started = time.perf_counter()
    steps: Steps = import_module(_MODULES[job.name]).make(job)
    built = time.perf_counter()
    steps(1)
    _say(first_step_seconds=time.perf_counter() - built, build_seconds=built - started)
    steps(WARM_STEPS)
    for line in sys.stdin:
        steps(WARM_STEPS)  # what the system took of a waiting process comes back
        started = time.perf_counter()
        steps(int(line))
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _say(seconds=seconds, peak_bytes=peak * (1 if sys.platform == "darwin" else 1024))


def _say(**told: float) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
