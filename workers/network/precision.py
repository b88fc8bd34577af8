"""The precision in which a network computes, as Keras' global policy while it is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import keras

Precision = Literal["float32", "mixed_bfloat16"]


@contextmanager
def built_in(precision: Precision) -> Iterator[None]:
    """Build layers under this policy; weights are float32 in both."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
