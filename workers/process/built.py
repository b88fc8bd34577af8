"""What a process has built and compiled for one order, and uses again for the next of its kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast, final

_MOST = 8
"""A choice: data, and what is compiled for the few batch sizes that follow each other; no memory without end."""

_Thing = TypeVar("_Thing")


@final
class Built:
    """Networks, compiled functions and data on the device, by all that decides what they compute.

    What is used again must take everything else as an argument, such as weights, rates and seeds. Of too many, the
    one not used for longest goes.
    """

    def __init__(self) -> None:
        self._things: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], _Thing]) -> _Thing:
        """Return what was built under a key, or build it now."""
        if key not in self._things:
            self._things[key] = build()
        self._things.move_to_end(key)
        while len(self._things) > _MOST:
            self._things.popitem(last=False)
        return cast("_Thing", self._things[key])
