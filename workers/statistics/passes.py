"""Passes over examples in a fixed order, whose state is saved at the ends of batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import numpy as np
import numpy.typing as npt

from workers.statistics.context import Partials

Array = npt.NDArray[np.float64]
State = dict[str, Array]
"""Running sums by name; a step makes new arrays and never changes the old ones in place."""

Step = Callable[[State, npt.NDArray[np.int64]], State]
"""Adds the examples at these places [B] to a state."""

_POSITION = "position"


def batch_edges(num_examples: int, batch_size: int) -> npt.NDArray[np.int64]:
    """Cut N examples into ⌈N/B⌉ batches of at most B whose sizes differ by at most one.

    Even sizes keep the last batch from being too small for its own batch-norm statistics.
    """
    num_batches = -(-num_examples // batch_size)
    return np.arange(num_batches + 1, dtype=np.int64) * num_examples // num_batches


@final
class Passes:
    """The passes of one measurement, one after the other; each goes on where it was stopped.

    Args:
        partials: Where states are saved.
        num_examples: Of all passes together, for the progress.
    """

    def __init__(self, partials: Partials, num_examples: int) -> None:
        self._partials, self._total = partials, num_examples
        self._done_before = 0

    def run(
        self, key: str, step: Step, start: Mapping[str, Array], edges: npt.NDArray[np.int64]
    ) -> State:
        """Add all batches, in order, to the state.

        The result has the same bits whether or not the pass was stopped and resumed in between.

        Raises:
            Drained: A stop was asked for; the state has been saved.
        """
        saved = self._partials.restore(key) or start
        state: State = {name: np.asarray(array, np.float64) for name, array in saved.items()}
        first = int(state.pop(_POSITION, 0))
        for position in range(first, len(edges) - 1):
            state = step(state, np.arange(edges[position], edges[position + 1]))
            partial = state | {_POSITION: np.array(float(position + 1))}
            done = self._done_before + int(edges[position + 1])
            self._partials.advance(key, partial, done, self._total)
        self._done_before += int(edges[-1])
        return state
