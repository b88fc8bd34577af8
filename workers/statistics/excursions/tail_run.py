"""One long run of SGD, cut into blocks, and what is observed of the blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.resumable.passes import Passes, State
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.stream import CHUNK_STEPS, batches_between
from workers.statistics.excursions.tail_schedule import Leg, legs_of
from workers.statistics.excursions.tail_stream import NUM_SEEN, WatchedStream
from workers.training.seeding import measuring_seed

if TYPE_CHECKING:
    from workers.statistics.tail import TailSpec

Array = npt.NDArray[np.float64]

LOSS, AGAINST_GRADIENT, GRADIENT = range(3)
"""Columns of what is observed at a record: L(θ), (θ-c)·∇L(θ), ‖∇L(θ)‖²."""

NUM_SHOWN = 3

_OVER_STEPS = ("away", "directions", "seen")
_OVER_RECORDS = ("gradients", "shown")
"""Names of the sums over a block."""


@dataclass(frozen=True)
class Blocks:
    """Means over each of B blocks.

    Attributes:
        nonfinite_before: The step, counted from the beginning of the burn-in, before which the run
            ceased to be finite; None where it did not.
        centre: c [P].
        displacement: θ_t - c [B, P].
        directions: g_B [B, P].
        gradients: ∇L(θ_t) at the records [B, P].
        seen: Over the steps [B, 3]: (θ_t-c)·g_B, ‖g_B‖², ‖v‖² after the step.
        shown: Over the records [B, 3]: L(θ_t), (θ_t-c)·∇L, ‖∇L‖².
    """

    nonfinite_before: int | None
    centre: Array
    displacement: Array
    directions: Array
    gradients: Array
    seen: Array
    shown: Array

    @property
    def mean_displacement(self) -> Array:
        """θ̄ - c [P]."""
        mean: Array = self.displacement.mean(axis=0)
        return mean


@dataclass(frozen=True)
class AtMeans:
    """The objective at mean iterates.

    Attributes:
        loss: L(θ̄).
        gradient: ∇L(θ̄) [P].
        block_losses: L(θ̄_b) at the mean iterate of each block [B].
        block_slopes: (θ̄_b-θ̄)·∇L(θ̄_b) [B].
    """

    loss: float
    gradient: Array
    block_losses: Array
    block_slopes: Array


@dataclass(frozen=True)
class TailRun:
    """The run of one tail.

    Attributes:
        settings: The settings of the statistic.
        excursion: The network.
        stream: Its steps.
        start: θ_0 [P].
    """

    settings: TailSpec
    excursion: Excursion
    stream: WatchedStream
    start: Array

    def run(self) -> Blocks:
        """Take all steps and records; ends early when the run is no longer finite."""
        legs = self._legs
        share = examples_of(self.settings, self.excursion) // len(legs)

        def is_done(state: State) -> bool:
            return int(state["leg"]) == len(legs) or not _is_finite(state)

        def step(state: State) -> State:
            number = int(state["leg"])
            moved = self._advance(state, legs, number)
            return self._after(moved, legs[number]) | {"leg": np.array(number + 1.0)}

        found = self._passes.iterate("legs", step, self._initial_state(), is_done, share)
        end = None if _is_finite(found) else legs[int(found["leg"]) - 1].end
        names = ("away", "directions", "gradients", "seen", "shown")
        return Blocks(end, found["centre"], *(found[f"block_{name}"] for name in names))

    def at_means(self, blocks: Blocks) -> AtMeans:
        """Evaluate the objective at the mean iterate of the run, then at those of the blocks."""
        first_repetition = len(self._legs)
        means = np.concatenate([blocks.mean_displacement[None], blocks.displacement])

        def step(state: State) -> State:
            number = len(state["losses"])
            found = self.excursion.objective(
                blocks.centre + means[number], first_repetition + number
            )
            slope = (means[number] - means[0]) @ found.gradient
            return {
                "losses": np.append(state["losses"], found.loss),
                "slopes": np.append(state["slopes"], slope),
                "gradient": state["gradient"] if number else found.gradient,
            }

        def is_done(state: State) -> bool:
            return len(state["losses"]) == len(means)

        empty = np.zeros(0)
        start = {"losses": empty, "slopes": empty, "gradient": np.zeros_like(means[0])}
        found = self._passes.iterate("means", step, start, is_done, len(self.excursion.train))
        losses, slopes = found["losses"], found["slopes"]
        return AtMeans(float(losses[0]), found["gradient"], losses[1:], slopes[1:])

    @cached_property
    def _legs(self) -> list[Leg]:
        return legs_of(self.settings, self._seed("records"))

    def _seed(self, stream: str) -> int:
        return measuring_seed(self.excursion.trial, self.settings.stream_seed, stream)

    @property
    def _passes(self) -> Passes:
        return self.excursion.passes

    def _initial_state(self) -> State:
        sums = self._zero_sums()
        names = (*_OVER_STEPS, *_OVER_RECORDS)
        return {
            "leg": np.array(0.0),
            "params": self.start,
            "velocity": np.zeros(len(self.excursion.velocity())),
            "centre": self.start,
            **sums,
            **{f"block_{name}": np.zeros((0, sums[name].size)) for name in names},
        }

    def _zero_sums(self) -> State:
        size = len(self.start)
        return {
            "num_steps": np.array(0.0),
            "away": np.zeros(size),
            "directions": np.zeros(size),
            "seen": np.zeros(NUM_SEEN),
            "num_records": np.array(0.0),
            "gradients": np.zeros(size),
            "shown": np.zeros(NUM_SHOWN),
        }

    def _advance(self, state: State, legs: list[Leg], number: int) -> State:
        """Take the steps of a leg."""
        first, end = legs[number - 1].end if number else 0, legs[number].end
        cuts = [*range(first, end, CHUNK_STEPS), end]

        def step(moving: State, places: npt.NDArray[np.int64]) -> State:
            """Take the chunk of steps whose number is places [1]."""
            chunk = int(places[0])
            return self.stream.run(moving, self._batches(cuts[chunk], cuts[chunk + 1]))

        begun = {name: state[name] for name in ("params", "velocity", "centre", *_OVER_STEPS)}
        moved = self._passes.run("steps", step, begun, np.arange(len(cuts)), repetition=number)
        return state | moved | {"num_steps": state["num_steps"] + end - first}

    def _batches(self, first: int, end: int) -> npt.NDArray[np.int32]:
        """Draw the batches [end - first, m] of the steps first … end - 1."""
        return batches_between(
            self._seed("tail"),
            first,
            end,
            num_train=len(self.excursion.train),
            batch_size=self.excursion.trial.batch_size,
            sampler=self.settings.sampler,
        )

    def _after(self, state: State, leg: Leg) -> State:
        """Return the state after what happens at the end of a leg."""
        if leg.then == "record":
            return state | self._record(state)
        if leg.then == "block":
            return state | _closed(state) | self._zero_sums()
        if leg.then == "centre":
            centre = state["centre"] + state["away"] / state["num_steps"]
            return state | {"centre": centre} | self._zero_sums()
        return state | self._zero_sums()

    def _record(self, state: State) -> State:
        found = self.excursion.objective(state["params"], int(state["leg"]))
        gradient = found.gradient
        displacement = state["params"] - state["centre"]
        shown = np.array([found.loss, displacement @ gradient, gradient @ gradient])
        return {
            "num_records": state["num_records"] + 1,
            "gradients": state["gradients"] + gradient,
            "shown": state["shown"] + shown,
        }


def examples_of(settings: TailSpec, excursion: Excursion) -> int:
    """Count the examples of the run, for the progress."""
    num_steps = settings.burn_in_steps + settings.num_steps
    return num_steps * excursion.trial.batch_size + settings.num_records * len(excursion.train)


def _closed(state: State) -> State:
    """Append the means of a block to those of the blocks before."""
    means = {name: state[name] / state["num_steps"] for name in _OVER_STEPS}
    means |= {name: state[name] / state["num_records"] for name in _OVER_RECORDS}
    return {
        f"block_{name}": np.append(state[f"block_{name}"], [mean], axis=0)
        for name, mean in means.items()
    }


def _is_finite(state: State) -> bool:
    return all(np.isfinite(state[name]).all() for name in ("params", "seen", "shown"))
