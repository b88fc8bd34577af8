"""`fork`: independent streams of SGD from the kept weights, and the loss they gain above their mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.numerics.probes import Estimate, mean_of_probes
from workers.resumable.passes import Passes, State
from workers.statistics.excursions.excursion import Directions, Excursion
from workers.statistics.excursions.excursion_rows import (
    eigenvalue_rows,
    unstable_rows,
    why_unstable,
)
from workers.statistics.excursions.fork_streams import (
    EXCESS,
    GRADIENT,
    GRADIENT_ABOUT_MEAN,
    HARMONIC,
    NOISE,
    SQUARED_NORM,
    ForkStreams,
    Observations,
    compile_stream,
    examples_of,
    num_probed,
)
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.split_rows import SplitRows

if TYPE_CHECKING:
    from workers.statistics.fork import ForkSpec

Array = npt.NDArray[np.float64]


def measure(context: MeasurementContext, settings: ForkSpec) -> list[Measurement]:
    """Measure the excess loss of SGD after T steps from one point, T on a geometric set of windows.

    R streams start at the kept weights with velocity 0 and draw their batches independently. With θ_t
    a stream at step t, θ̄_t the mean of the R streams, L the total objective over the training set (in
    `bn_mode: batch` over batches of m drawn once, as `Excursion` says),
    ⟨·⟩ the mean over the streams and over the observed steps of a window, and `index` the window's last step T:
    `excess_loss` = R/(R-1) ⟨L(θ_t) - L(θ̄_t)⟩;
    `harmonic_excess_loss` = R/(R-1) ½⟨(θ_t-θ̄_t)·∇L(θ_t)⟩, equal to it where L is quadratic;
    `expected_gradient_norm_squared` = R/(R-1) ⟨‖∇L(θ_t) - ∇L(θ̄_t)‖²⟩;
    `gradient_norm_squared` = ⟨‖∇L(θ_t)‖²⟩, with what all streams drift alike.
    Over all steps since the window before, of the first window since the start, each counted once:
    `batch_gradient_norm_squared` = E‖g_B‖² of the steps' own batches;
    `gradient_noise_trace` = m tr cov(g_B), times (N-1)/(N-m) for a shuffled sampler: tr σ² where the
    streams are (of batches, in `bn_mode: batch`), from ½‖g_A - g_B‖² of two more batches at one step of
    every four, drawn at random. No batch of it moves a stream, and ∇L is not in it: without bias
    wherever the streams go, shuffled too.
    What all streams drift alike cancels in the first three; R/(R-1) makes up for the mean being theirs
    (exact for a quadratic).

    With λᵢ, uᵢ the k largest eigenvalues of ∇²L at the kept weights and `index` i:
    `hessian_top_eigenvalue`, `hessian_residual_norm` as in `hessian`; `direction_variance` =
    R/(R-1) ⟨(uᵢ·(θ_t-θ̄_t))²⟩ over the longest window; `direction_noise` = uᵢᵀσ²uᵢ at the kept
    weights, exact, not given in `bn_mode: batch`.

    Errors are those of the mean over streams, `num_samples` their number. A rate with ηλ₁ ≥ 2(1+μ), or
    streams that leave the finite numbers, are recorded as `unstable`, without values. `cost_gradients`
    counts 3 for a product and for a slope of every example. Resumable, to the same bits.

    Raises:
        UserError: The network cannot be measured.
        Drained: A stop was asked for; what was done has been saved.
    """
    started = time.perf_counter()
    passes = Passes(context.partials, 0)
    excursion = Excursion.prepare(context, settings, passes)
    passes.expect(settings.max_lanczos_steps * len(excursion.train))
    passes.expect(examples_of(settings, excursion))
    start = excursion.params()
    directions = excursion.directions()
    why = why_unstable(excursion, directions)
    if why:
        return unstable_rows(settings, why)
    noise = _direction_noise(excursion, settings, directions.vectors)
    windows = settings.windows()
    observed_steps = [step for window in windows for step in window]
    stream = compile_stream(excursion)
    found = ForkStreams(
        settings, excursion, stream, start, directions.vectors, observed_steps
    ).run()
    if not np.isfinite(found.shown).all():
        step = observed_steps[len(found.shown) - 1]
        return unstable_rows(settings, f"a stream left the finite numbers before step {step}")
    seconds = time.perf_counter() - started
    return rows_of(settings, excursion, found, directions, noise, seconds=seconds)


def rows_of(
    settings: ForkSpec,
    excursion: Excursion,
    observations: Observations,
    directions: Directions,
    noise: Array,
    *,
    seconds: float,
) -> list[Measurement]:
    """Make all rows of streams that stayed finite.

    Args:
        settings: Of the statistic.
        excursion: The network.
        observations: What the streams showed.
        directions: At the kept weights.
        noise: uᵢᵀσ²uᵢ [k], or none.
        seconds: The wall time.
    """
    about = SplitRows("train", settings.bn_mode, _cost(settings, excursion), seconds)
    measured = _Measured(settings, excursion, observations, directions, noise, about)
    return [*measured.window_rows(), *measured.direction_rows()]


@dataclass(frozen=True)
class _Measured:
    """Everything that becomes rows."""

    settings: ForkSpec
    excursion: Excursion
    observations: Observations
    directions: Directions
    noise: Array
    about: SplitRows

    def window_rows(self) -> Iterator[Measurement]:
        """Average each window over its observed steps, then over the streams."""
        first_look = first_step = 0
        for window in self.settings.windows():
            places = slice(first_look, first_look + len(window))
            for quantity, values in self._quantities(places, window[-1] - first_step).items():
                found = mean_of_probes(values[:, None])
                yield self._row(quantity, found, 0, index=window[-1])
            first_look, first_step = places.stop, window[-1]

    def _quantities(self, places: slice, num_steps: int) -> dict[str, Array]:
        """Return every quantity of a window, stream by stream [R]."""
        shown = self.observations.shown[places].mean(axis=0)
        seen = self.observations.seen[places].sum(axis=0) / num_steps
        return {
            "excess_loss": self._unbiased * shown[:, EXCESS],
            "harmonic_excess_loss": self._unbiased * shown[:, HARMONIC],
            "expected_gradient_norm_squared": self._unbiased * shown[:, GRADIENT_ABOUT_MEAN],
            "gradient_norm_squared": shown[:, GRADIENT],
            "batch_gradient_norm_squared": seen[:, SQUARED_NORM],
            "gradient_noise_trace": self.excursion.noise_of_example * seen[:, NOISE],
        }

    def direction_rows(self) -> Iterator[Measurement]:
        """Yield the eigenvalues, and along their vectors the variance and the noise."""
        num_examples = len(self.excursion.places)
        yield from eigenvalue_rows(self.about, self.directions, num_examples)
        num_observations = len(self.settings.windows()[-1])
        projections = self.observations.projections[-num_observations:].mean(axis=0)
        variance = mean_of_probes(self._unbiased * projections)
        for place in range(len(variance.value)):
            yield self._row("direction_variance", variance, place, index=place)
        for place, value in enumerate(self.noise):
            yield self.about.row(
                "direction_noise",
                "example_slopes",
                value,
                0.0,
                objective="total",
                num_samples=num_examples,
                index=place,
            )

    def _row(self, quantity: str, found: Estimate, place: int, *, index: int) -> Measurement:
        return self.about.row(
            quantity,
            "forks",
            found.value[place],
            found.stderr[place],
            objective="total",
            num_samples=self.settings.num_streams,
            index=index,
        )

    @property
    def _unbiased(self) -> float:
        return self.settings.num_streams / (self.settings.num_streams - 1)


def _direction_noise(excursion: Excursion, settings: ForkSpec, vectors: Array) -> Array:
    """Return uᵢᵀσ²uᵢ [k] at the kept weights; each is kept once its pass has ended."""
    if settings.bn_mode == "batch":
        return np.zeros(0)
    num_examples = len(excursion.train)
    excursion.passes.expect(len(vectors) * num_examples)

    def step(state: State) -> State:
        """Append the noise along the next vector."""
        place = len(state["noise"])
        slopes = excursion.slopes(vectors[place], place)
        return {"noise": np.append(state["noise"], slopes.var())}

    def is_done(state: State) -> bool:
        return len(state["noise"]) == len(vectors)

    start = {"noise": np.zeros(0)}
    return excursion.passes.iterate("direction_noise", step, start, is_done, num_examples)["noise"]


def _cost(settings: ForkSpec, excursion: Excursion) -> float:
    """Count the work in gradients over the training set."""
    num_train, num_streams = len(excursion.train), settings.num_streams
    gradients = settings.num_steps + 2 * num_probed(settings)
    steps = gradients * num_streams * excursion.trial.batch_size / num_train
    observations = sum(map(len, settings.windows())) * (num_streams + 1)
    slopes = 0 if settings.bn_mode == "batch" else 3 * settings.num_directions
    return steps + observations + slopes + 3 * settings.max_lanczos_steps
