"""What oneDNN says of each convolution, of which both TensorFlow and PyTorch make their steps, beside the processor's peak."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_SHAPE = re.compile(r"mb(\d+)_ic(\d+)oc(\d+)_ih\d+oh(\d+)kh(\d+).*_iw\d+ow(\d+)kw(\d+)")
_PREFIX = "onednn_verbose,"


@dataclass(frozen=True)
class Primitives:
    """Primitives of one kind and shape in so many steps.

    Attributes:
        what: Kind and pass, and of a convolution its channels, image and kernel.
        number: A step.
        milliseconds: A step.
        gflops: A second, of a convolution; products with the padding's zeros count.
    """

    what: str
    number: float
    milliseconds: float
    gflops: float | None


def primitives_of(lines: Iterable[str], num_steps: int) -> list[Primitives]:
    """Sum up what `ONEDNN_VERBOSE=1` has printed of some steps, longest first."""
    seconds: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for line in lines:
        fields = line.strip().split(",")
        if not line.startswith(_PREFIX) or "exec" not in fields:
            continue
        kind, _, direction = fields[fields.index("exec") + 2 :][:3]
        shape = _SHAPE.search(fields[-2])
        what = f"{kind} {direction}"
        if kind == "convolution" and shape is not None:
            batch, inputs, outputs, height, kernel, width, kernel_width = map(int, shape.groups())
            what += f" {inputs} → {outputs}, {height} × {width}, {kernel} × {kernel_width}"
            flops[what] += 2 * batch * inputs * outputs * height * width * kernel * kernel_width
        numbers[what] += 1
        seconds[what] += float(fields[-1]) / 1000
    return [
        Primitives(
            what,
            numbers[what] / num_steps,
            1000 * spent / num_steps,
            flops[what] / spent / 1e9 if what in flops else None,
        )
        for what, spent in seconds.most_common()
    ]


def peak_gflops(size: int = 1024, seconds: float = 2.0) -> float:
    """Return the GFLOP/s of the best product of two square float32 matrices that TensorFlow takes here."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal([size, size], [0, 0])
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    product()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9
