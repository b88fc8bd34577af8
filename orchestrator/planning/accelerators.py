"""Kinds of accelerators by the names that Ray has for them."""

from __future__ import annotations

import functools
import re
import runpy
from collections.abc import Iterator
from importlib.metadata import distribution

from workers.contract.errors import Fault, did_you_mean, shortened

_NAMES_OF_RAY = "ray/util/accelerators/accelerators.py"
_CONSUMER_CARDS = "GeForce-"
"""Of these Ray has no list: it puts hyphens into the product's name."""
_CARD = re.compile(r"\w+\s+((?:[A-Z]+\s+)*[A-Z0-9]*\d[A-Z0-9]*)")


@functools.cache
def known_accelerators() -> frozenset[str]:
    """Return the names in `ray.util.accelerators`, read from its file: Ray's import would take seconds."""
    constants = runpy.run_path(str(distribution("ray").locate_file(_NAMES_OF_RAY)))
    return frozenset(str(value) for name, value in constants.items() if not name.startswith("_"))


def accelerator_faults(
    name: str, where: str, others: frozenset[str] = frozenset()
) -> Iterator[Fault]:
    """Find what is wrong with the name of a kind of accelerator; upper and lower case count, as for Ray.

    Args:
        name: As given.
        where: The file and key, or the option.
        others: Names that are known besides those of Ray.
    """
    known = known_accelerators() | others
    if name not in known and not name.startswith(_CONSUMER_CARDS):
        by_folded = {each.casefold(): each for each in known}
        near = by_folded.get(name.casefold())
        mend = f"did you mean {near!r}?" if near else did_you_mean(name, known)
        yield Fault(f"no accelerator named {shortened(name)!r}", where, mend)


def accelerator_of(product: str) -> str:
    """Return what Ray calls a GPU of NVIDIA by its product name: "NVIDIA H100 80GB HBM3" is H100."""
    found = _CARD.match(product)
    if found and len(found[1]) > 1:
        return found[1].replace(" ", "-")
    return re.sub(r"^NVIDIA\s+", "", product).strip().replace(" ", "-")
