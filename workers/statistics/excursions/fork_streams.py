"""Many independent streams of SGD from one point, and what they show at the observed steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.resumable.passes import Passes, State
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.stream import (
    CHUNK_STEPS,
    CompiledStream,
    NoiseBatches,
    batches_between,
    squared_norm,
)
from workers.training.seeding import measuring_seed

if TYPE_CHECKING:
    from workers.statistics.fork import ForkSpec

Array = npt.NDArray[np.float64]

EXCESS, HARMONIC, GRADIENT_ABOUT_MEAN, GRADIENT = range(4)
"""Columns of what a stream shows at an observed step."""

SQUARED_NORM, NOISE = range(2)
"""Columns of what is observed of its steps."""

PIECE_STEPS = 4
"""Steps of a piece; at a random one noise is measured: half a batch gradient more per step."""


@dataclass(frozen=True)
class Observations:
    """What R streams show at J observed steps.

    Attributes:
        shown: For each observed step and stream [J, R, 4], with x = θ - θ̄ from the mean iterate θ̄ of that
            step: L(θ) - L(θ̄) - ∇L(θ̄)·x, ½ x·(∇L(θ) - ∇L(θ̄)), ‖∇L(θ) - ∇L(θ̄)‖², ‖∇L(θ)‖². The
            terms with ∇L(θ̄) sum to 0 over the streams; if kept, they would only add noise.
        projections: (uᵢ·x)² [J, R, k].
        seen: Over the steps since the previous observed step [J, R, 2]: Σ ‖g_B‖², and an unbiased estimate
            of Σ tr cov(g_B).
    """

    shown: Array
    projections: Array
    seen: Array


def compile_stream(excursion: Excursion) -> CompiledStream:
    """Compile the steps of all streams, which observe ‖g_B‖² and the noise."""
    return CompiledStream(
        excursion.sgd_step,
        excursion.train,
        excursion.trial.batch_size,
        lambda directions: squared_norm(directions)[None],
        num_seen=2,
        sees_noise=True,
    )


@dataclass(frozen=True)
class ForkStreams:
    """The streams of one fork.

    Attributes:
        settings: The settings of the statistic.
        excursion: The network.
        stream: Its steps, which observe ‖g_B‖² and the noise.
        start: θ_0 [P].
        directions: Eigenvectors as rows [k, P].
        observed_steps: Steps at which the streams are observed, in ascending order.
    """

    settings: ForkSpec
    excursion: Excursion
    stream: CompiledStream
    start: Array
    directions: Array
    observed_steps: list[int]

    def run(self) -> Observations:
        """Advance all streams to each observed step and observe them there; ends early when one diverges."""
        num_streams = self.settings.num_streams

        def observe(state: State) -> State:
            place = len(state["shown"])
            begun = {name: state[name] for name in ("params", "velocity")}
            moved = self._advance(begun, place)
            shown = self._show(moved["params"], place)
            return {
                "params": moved["params"],
                "velocity": moved["velocity"],
                "seen": np.append(state["seen"], [moved["seen"]], axis=0),
                "shown": np.append(state["shown"], [shown[:, :4]], axis=0),
                "projections": np.append(state["projections"], [shown[:, 4:]], axis=0),
            }

        def is_done(state: State) -> bool:
            shown = state["shown"]
            return len(shown) == len(self.observed_steps) or not np.isfinite(shown).all()

        size_of_velocity = len(self.excursion.velocity())
        begun = {
            "params": np.repeat(self.start[None], num_streams, axis=0),
            "velocity": np.zeros((num_streams, size_of_velocity)),
            "seen": np.zeros((0, num_streams, 2)),
            "shown": np.zeros((0, num_streams, 4)),
            "projections": np.zeros((0, num_streams, len(self.directions))),
        }
        found = self._passes.iterate(
            "looks", observe, begun, is_done, self._examples_of_an_observation
        )
        return Observations(found["shown"], found["projections"], found["seen"])

    @property
    def _passes(self) -> Passes:
        return self.excursion.passes

    @property
    def _examples_of_an_observation(self) -> int:
        return examples_of(self.settings, self.excursion) // len(self.observed_steps)

    def _advance(self, begun: State, place: int) -> State:
        """Advance every stream from the previous observed step to that of number `place`."""
        first, end = ([0, *self.observed_steps])[place : place + 2]
        cuts = [*range(first, end, CHUNK_STEPS), end]
        num_chunks = len(cuts) - 1

        def step(state: State, places: npt.NDArray[np.int64]) -> State:
            """Take a chunk of steps of one stream; places [1] number chunks, stream by stream."""
            number, chunk = divmod(int(places[0]), num_chunks)
            self.excursion.place(state["params"][number], state["velocity"][number])
            steps = (number, cuts[chunk], cuts[chunk + 1])
            rate = self.excursion.learning_rate
            seen = self.stream.run(self._batches(*steps), rate, self._probes(*steps))
            return {
                "params": _replaced(state["params"], number, self.excursion.params()),
                "velocity": _replaced(state["velocity"], number, self.excursion.velocity()),
                "seen": _replaced(state["seen"], number, state["seen"][number] + seen.sum(axis=0)),
            }

        start = begun | {"seen": np.zeros((self.settings.num_streams, 2))}
        edges = np.arange(self.settings.num_streams * num_chunks + 1)
        return self._passes.run("streams", step, start, edges, repetition=place)

    def _batches(self, number: int, first: int, end: int) -> npt.NDArray[np.int32]:
        """Draw the batches [end - first, m] of a stream's steps first … end - 1."""
        return batches_between(
            self._seed(number),
            first,
            end,
            num_train=len(self.excursion.train),
            batch_size=self.excursion.trial.batch_size,
            sampler=self.settings.sampler,
        )

    def _probes(self, number: int, first: int, end: int) -> NoiseBatches:
        """Draw where the noise of a stream is measured: at one step, representing each piece.

        Its two batches come from the orders of two further numbers, drawn like those of the steps.
        They are independent of the stream's own batches, and ∇L cancels in their difference, so
        that ½‖g_A - g_B‖² estimates tr cov(g_B) without bias wherever the stream is.
        """
        num_streams = self.settings.num_streams
        pairs = [self._batches(number + shift * num_streams, first, end) for shift in (1, 2)]
        starts = np.arange(0, end - first, PIECE_STEPS)
        lengths = np.diff(starts, append=end - first)
        key = np.array([self._seed(number + 3 * num_streams), first], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        weights = np.zeros(end - first)
        weights[starts + generator.integers(lengths)] = lengths
        return NoiseBatches(np.stack(pairs, axis=1), weights)

    def _seed(self, number: int) -> int:
        """Return the seed of a number among those of this trial."""
        return measuring_seed(self.excursion.trial, self.settings.stream_seed, f"fork {number}")

    def _show(self, params: Array, place: int) -> Array:
        """Compare the streams at θ [R, P] with their mean [R, 4 + k]; NaN once one has diverged."""
        num_columns = 4 + len(self.directions)
        if not np.isfinite(params).all():
            return np.full((len(params), num_columns), np.nan)
        centre = params.mean(axis=0)
        first_repetition = place * (len(params) + 1)

        def step(state: State) -> State:
            number = len(state["rows"])
            found = self.excursion.objective(params[number], first_repetition + 1 + number)
            displacement = params[number] - centre
            change = found.gradient - state["gradient"]
            row = [
                found.loss - state["loss"] - state["gradient"] @ displacement,
                displacement @ change / 2,
                change @ change,
                found.gradient @ found.gradient,
                *np.square(self.directions @ displacement),
            ]
            return state | {"rows": np.append(state["rows"], [row], axis=0)}

        mean = self.excursion.objective(centre, first_repetition, key="objective_of_mean")
        start = {
            "loss": np.array(mean.loss),
            "gradient": mean.gradient,
            "rows": np.zeros((0, num_columns)),
        }
        shown = self._passes.iterate(
            "shown",
            step,
            start,
            lambda state: len(state["rows"]) == len(params),
            0,
            repetition=place,
        )
        return shown["rows"]


def examples_of(settings: ForkSpec, excursion: Excursion) -> int:
    """Count the examples of all observations, for the progress."""
    num_observations = sum(map(len, settings.windows()))
    return num_observations * (settings.num_streams + 1) * len(excursion.train)


def num_probed(settings: ForkSpec) -> int:
    """Count the steps of a stream at which its noise is measured."""
    observed_steps = [step for window in settings.windows() for step in window]
    stretches = zip([0, *observed_steps], observed_steps, strict=False)
    return sum(-(-(end - first) // PIECE_STEPS) for first, end in stretches)


def _replaced(rows: Array, number: int, row: Array) -> Array:
    """Return rows [R, …] with one row [...] replaced."""
    changed = rows.copy()
    changed[number] = row
    return changed
