"""Groups of BS/LR: equal, close and far, by which the paper's Figures 2 and 3 group its curves."""

from __future__ import annotations

import math
from typing import Literal

RatioGroup = Literal["equal", "close", "far"]

CLOSE_FACTOR = 1.5
"""Close means within this factor.

The paper's pairs cannot be read off; of its grid 1250 is close to 1000 (a factor 1.25), and 200 and
6250 are far from the two values that several cells share, 1000 and 2500 (a factor 2.5 and more).
"""

_ROUNDING = 1e-9


def ratio_group(first: float, second: float) -> RatioGroup:
    """Return the group of two values of BS/LR, in either order."""
    distance = abs(math.log(first / second))
    if distance < _ROUNDING:
        return "equal"
    return "close" if distance <= math.log(CLOSE_FACTOR) + _ROUNDING else "far"
