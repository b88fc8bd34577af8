"""Passes over examples in a fixed order, whose state can be saved after every batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import numpy as np
import numpy.typing as npt

from workers.numerics.probes import StoppingRule
from workers.resumable.keeping import Partials

Array = npt.NDArray[np.float64]
State = dict[str, Array]
"""Running sums [...] by name; a step returns new arrays and never changes the old ones."""

Step = Callable[[State, npt.NDArray[np.int64]], State]
"""Adds the examples at these places [B], indices into a split, to a state."""

_POSITION, _STEPS, _TURN = "position", "steps", "turn"


def batch_edges(num_examples: int, batch_size: int) -> npt.NDArray[np.int64]:
    """Cut N examples into ⌈N/B⌉ batches of at most B; return their edges [⌈N/B⌉ + 1].

    Sizes differ by at most one, which keeps the last batch from being too small for its own
    batch-norm statistics.
    """
    num_batches = -(-num_examples // batch_size)
    return np.arange(num_batches + 1, dtype=np.int64) * num_examples // num_batches


@final
class Passes:
    """The passes of one measurement, one after the other; each continues where it was stopped.

    Args:
        partials: Where states are saved.
        num_examples: Examples of all passes that are certain to come, for the progress; the most
            there can be.
    """

    def __init__(self, partials: Partials, num_examples: int) -> None:
        self._partials, self._total = partials, num_examples
        self._done_before = 0

    def expect(self, num_examples: int) -> None:
        """Add to the progress a pass that was not known to be needed before."""
        self._total += num_examples

    def run(
        self,
        key: str,
        step: Step,
        start: Mapping[str, Array],
        edges: npt.NDArray[np.int64],
        *,
        repetition: int = 0,
    ) -> State:
        """Add all batches, in order, to the state.

        The result has the same bits whether or not the pass was stopped and resumed in between.

        Args:
            key: Names the pass.
            step: Adds a batch.
            start: The state before the first batch.
            edges: Where batches begin and end [number of batches + 1].
            repetition: Number that distinguishes passes under one key; a state of another is not
                continued.

        Raises:
            Drained: A stop was asked for; the state has been saved.
        """
        first, state = self._restored(key, _POSITION, start, repetition)
        for position in range(first, len(edges) - 1):
            state = step(state, np.arange(edges[position], edges[position + 1]))
            place = {_POSITION: np.array(float(position + 1)), _TURN: np.array(float(repetition))}
            self._advance(key, state | place, int(edges[position + 1]))
        self._done_before += int(edges[-1])
        return state

    def probe(
        self, key: str, measure: Callable[[int], Array], rule: StoppingRule, num_examples: int
    ) -> Array:
        """Draw independent probes [U, G], one after the other, until there are enough.

        Every probe is saved, so the result has the same bits whether or not it was stopped in
        between.

        Args:
            key: Names the probes.
            measure: Returns the probe of a number [G], the whole model's value first; it may run
                passes.
            rule: Decides when there are enough.
            num_examples: A probe's share of the progress, with that of the passes it runs.

        Raises:
            Drained: A stop was asked for; the probes have been saved.
        """
        saved = self._partials.restore(key)
        values = None if saved is None else np.asarray(saved["values"], np.float64)
        self._done_before += 0 if values is None else len(values) * num_examples
        while values is None or not rule.is_met(values[:, 0]):
            number, before = 0 if values is None else len(values), self._done_before
            found = measure(number)[None]
            values = found if values is None else np.concatenate([values, found])
            self._done_before = before + num_examples
            self._advance(key, {"values": values}, 0)
        return values

    def iterate(
        self,
        key: str,
        step: Callable[[State], State],
        start: Mapping[str, Array],
        is_done: Callable[[State], bool],
        num_examples: int,
        *,
        repetition: int = 0,
    ) -> State:
        """Take steps from a state, arrays [...] by name, until it is done.

        Each step may run passes of its own.

        The result has the same bits whether or not it was stopped in between.

        Args:
            key: Names the iteration.
            step: Returns the next state.
            start: The state before the first step.
            is_done: Whether a state is the last one.
            num_examples: A step's share of the progress, with that of the passes it runs.
            repetition: Number that distinguishes iterations under one key, as in `run`.

        Raises:
            Drained: A stop was asked for; the state has been saved.
        """
        num_steps, state = self._restored(key, _STEPS, start, repetition)
        self._done_before += num_steps * num_examples
        while not is_done(state):
            before = self._done_before
            state, num_steps = step(state), num_steps + 1
            self._done_before = before + num_examples
            place = {_STEPS: np.array(float(num_steps)), _TURN: np.array(float(repetition))}
            self._advance(key, state | place, 0)
        return state

    def _restored(
        self, key: str, place: str, start: Mapping[str, Array], repetition: int
    ) -> tuple[int, State]:
        """Return progress and state (arrays [...] by name) saved for this repetition; else the start."""
        saved = self._partials.restore(key)
        if saved is None or int(saved.get(_TURN, np.array(0))) != repetition:
            saved = start
        state: State = {name: np.asarray(array, np.float64) for name, array in saved.items()}
        state.pop(_TURN, None)
        return int(state.pop(place, 0)), state

    def _advance(self, key: str, state: State, num_done: int) -> None:
        self._partials.advance(key, state, self._done_before + num_done, self._total)
