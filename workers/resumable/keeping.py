"""What long work saves so that nothing is computed twice: partial sums, and shared results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.generic]]
"""Arrays by name."""

Partial = Arrays
"""Everything that a half-done measurement needs to continue."""


class Partials(Protocol):
    """Storage for the partial sums of a long measurement, so that a killed one can continue."""

    def restore(self, key: str) -> Partial | None:
        """Return what any attempt at the same work saved last under this key; None if nothing."""
        ...

    def advance(self, key: str, partial: Partial, done: int, total: int) -> None:
        """Report progress, and save when a checkpoint is due.

        Raises:
            Drained: A stop was asked for; the partial has been saved.
        """
        ...


class Shared(Protocol):
    """Storage for results of one statistic of a trial that the others need too.

    They must follow from the trial's weights and data alone, as it is not known who found them.
    """

    def find(self, key: str) -> Arrays | None:
        """Return what any statistic of the trial kept under this key; None if nothing sound."""
        ...

    def keep(self, key: str, found: Arrays) -> None:
        """Save a result for the others."""
        ...


@final
class SharedInMemory:
    """The `Shared` of statistics that use one context, without a store."""

    def __init__(self) -> None:
        self._kept: dict[str, Arrays] = {}

    def find(self, key: str) -> Arrays | None:
        """Return what was kept under this key."""
        return self._kept.get(key)

    def keep(self, key: str, found: Arrays) -> None:
        """Save a result for the others."""
        self._kept[key] = found
