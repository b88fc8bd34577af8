"""Refuse a foreign package of the same name as ours: `workers` and `analysis` are common words."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from workers.contract.errors import Fault, UserError

_PACKAGES = ("workers", "analysis")


def check_own_packages(home: Path) -> None:
    """Check that each of our packages is found in `home`, the folder that holds this one.

    Raises:
        UserError: Another package of the name comes first on the path.
    """
    faults = []
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found and found.origin else None
        if origin is None or origin.parent.parent != home.resolve():
            faults.append(
                Fault(
                    f"the package {name!r} is found at {origin}, not beside minima in {home}",
                    "the Python path",
                    "leave the folder that holds it, take it off PYTHONPATH, or rename it",
                )
            )
    if faults:
        raise UserError(faults)
