"""The laws, one file each: what an excess loss should be, from measured traces."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from analysis.laws.law import Law, in_order


@cache
def laws() -> dict[str, Law]:
    """Return the laws by name, in the order in which they are shown: `LAW` of every file in this folder."""
    names = [module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")]
    return in_order(importlib.import_module(name).LAW for name in names)
