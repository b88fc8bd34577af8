"""Whether a measured number can be one: finite, and within what single precision holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

LARGEST = float(np.finfo(np.float32).max)
"""Networks compute in single precision: what is beyond has run away, and its square overflows in double
precision from 1e154 on."""


def is_sound(values: pd.Series[float]) -> pd.Series[bool]:
    """Whether each value is finite and at most the largest number of single precision."""
    sizes: pd.Series[bool] = values.astype(float).abs() <= LARGEST
    return sizes
