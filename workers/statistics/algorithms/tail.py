"""`tail`: one long run of SGD at a constant rate: is it stationary, and how far above the minimum?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.contract.records import Measurement
from workers.resumable.passes import Passes
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.excursion_rows import (
    eigenvalue_rows,
    unstable_rows,
    why_unstable,
)
from workers.statistics.excursions.tail_run import TailRun, examples_of
from workers.statistics.excursions.tail_schedule import NUM_BLOCKS
from workers.statistics.excursions.tail_stream import WatchedStream
from workers.statistics.excursions.tail_values import block_values, mean_of_blocks, why_runaway
from workers.statistics.measuring.context import MeasurementContext
from workers.statistics.measuring.split_rows import SplitRows

if TYPE_CHECKING:
    from workers.statistics.tail import TailSpec

Array = npt.NDArray[np.float64]


def measure(context: MeasurementContext, settings: TailSpec) -> list[Measurement]:
    """Measure the excess loss of SGD in its stationary state, and test whether it is in one.

    One run starts at the kept weights with velocity 0. After the burn-in come B = 32 blocks of steps. With
    θ_t the weights before step t, g_B its direction (L2 included), v ← μv + g_B, L the total objective over
    the training set (in `bn_mode: batch` over batches of m drawn once, as `Excursion` says), ⟨·⟩ the mean over the measured steps, or over the records where L or ∇L is in it,
    θ̄ = ⟨θ_t⟩, θ̄_b a block's, and c the mean iterate of the second half of the burn-in:
    `excess_loss` = ⟨L(θ_t)⟩ - L(θ̄) + (1/(B-1)) mean_b [L(θ̄_b) - L(θ̄)];
    `harmonic_excess_loss` = ½⟨(θ_t-θ̄)·∇L(θ_t)⟩ + (1/(B-1)) mean_b ½(θ̄_b-θ̄)·∇L(θ̄_b), in expectation equal
    to it where L is quadratic;
    `expected_gradient_norm_squared` = ⟨‖∇L(θ_t)‖²⟩, about 0 and not about ⟨∇L⟩, which is 0 in a
    stationary state;
    `batch_gradient_norm_squared` = ⟨‖g_B‖²⟩; `velocity_norm_squared` = ⟨‖v‖²⟩ after the step;
    `gradient_noise_trace` = m (⟨‖g_B‖²⟩ - ⟨‖∇L‖²⟩), times (N-1)/(N-m) for a shuffled sampler: tr σ² where
    the run is (of batches, in `bn_mode: batch`). Shuffled it is too large by up to η tr(σ²H): θ_t knows
    the batches before it, so those left in its epoch are no fresh draws;
    `fluctuation_dissipation_ratio` = ⟨(θ_t-θ̄)·g_B⟩ / ½η(1+μ)⟨‖v‖²⟩, 1 in a stationary state;
    `fluctuation_dissipation_gap` = ⟨(θ_t-c)·g_B⟩ - ½η(1+μ)⟨‖v‖²⟩, 0 in one, also for either half of the
    run (index 0, 1).
    The terms in θ̄_b make up for L(θ̄) > L*: θ̄ still fluctuates, with 1/B of the variance of a block's mean.
    `hessian_top_eigenvalue` and `hessian_residual_norm`, as in `hessian`, are of the kept weights.

    Errors are those of the mean over blocks, `num_samples` their number; what drifts evenly, the first
    order of L along θ̄_b - θ̄, adds up to 0 and counts as no error. Blocks must be long against the memory
    (1-μ)/(ηλ): on a linear regression of 4 parameters 95 % intervals covered 90-92 % with blocks of 1-2
    times the longest memory, 93-94 % with 5-8 times, 94.5 % with 18. Ratio and gap add up a difference that
    telescopes: a block begins where the one before ended, so that their error is that of one block over B,
    not over √B.

    A rate with ηλ₁ ≥ 2(1+μ), a run that leaves the finite numbers, or whose mean loss in the second half is
    above 10 times that of the first, are recorded as `unstable`, without values. `cost_gradients` counts
    3 for a product. Resumable, to the same bits.

    Raises:
        UserError: The network cannot be measured.
        Drained: A stop was asked for; what was done has been saved.
    Source: Yaida (2018), FDR1'; Lang, Zhang, Xiao (2019), the test of its gap.
    """
    started = time.perf_counter()
    passes = Passes(context.partials, 0)
    excursion = Excursion.prepare(context, settings, passes)
    passes.expect((settings.max_lanczos_steps + NUM_BLOCKS + 1) * len(excursion.train))
    passes.expect(examples_of(settings, excursion))
    start = excursion.params()
    directions = excursion.directions()
    why = why_unstable(excursion, directions)
    if why:
        return unstable_rows(settings, why)
    run = TailRun(settings, excursion, WatchedStream(excursion), start)
    blocks = run.run()
    why = why_runaway(blocks)
    if why:
        return unstable_rows(settings, why)
    values = block_values(excursion, blocks, run.at_means(blocks))
    seconds = time.perf_counter() - started
    about = SplitRows("train", settings.bn_mode, _cost(settings, excursion), seconds)
    return [*rows_of(about, values), *eigenvalue_rows(about, directions, len(excursion.places))]


def rows_of(about: SplitRows, values: dict[str, Array]) -> Iterator[Measurement]:
    """Make rows of what the blocks show [B]; of the gap also for each half of them."""
    for quantity, all_blocks in values.items():
        parts: list[tuple[int | None, Array]] = [(None, all_blocks)]
        if quantity == "fluctuation_dissipation_gap":
            parts += enumerate(np.split(all_blocks, 2))
        for index, part in parts:
            found = mean_of_blocks(quantity, part)
            yield about.row(
                quantity,
                "tail",
                found.value[0],
                found.stderr[0],
                objective="total",
                num_samples=len(part),
                index=index,
            )


def _cost(settings: TailSpec, excursion: Excursion) -> float:
    """Count the work in gradients over the training set."""
    run = examples_of(settings, excursion) / len(excursion.train)
    return run + NUM_BLOCKS + 1 + 3 * settings.max_lanczos_steps
