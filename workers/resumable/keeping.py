"""What long work keeps so that nothing is computed twice: partial sums, and what others need too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.generic]]
"""Arrays by name."""

Partial = Arrays
"""Everything a half-done measurement needs to go on."""


class Partials(Protocol):
    """Keeps the partial sums of a long measurement, so that a killed one goes on."""

    def restore(self, key: str) -> Partial | None:
        """Give what was saved last under this key by any attempt of the same work; None if nothing."""
        ...

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        """Report progress; save at the cadence.

        Raises:
            Drained: A stop was asked for; the partial has been saved.
        """
        ...


class Shared(Protocol):
    """Keeps what one statistic of a trial found and the others need too.

    What is kept must follow from the trial's weights and data alone: nobody can tell who found it.
    """

    def find(self, key: str) -> Arrays | None:
        """Give what any statistic of the same trial kept under this key; None if nothing sound."""
        ...

    def keep(self, key: str, found: Arrays) -> None:
        """Keep something for the others."""
        ...


@final
class SharedInMemory:
    """Shares between the statistics that are given one context, without a store."""

    def __init__(self) -> None:
        self._kept: dict[str, Arrays] = {}

    def find(self, key: str) -> Arrays | None:
        """Give what was kept under this key."""
        return self._kept.get(key)

    def keep(self, key: str, found: Arrays) -> None:
        """Keep something for the others."""
        self._kept[key] = found
