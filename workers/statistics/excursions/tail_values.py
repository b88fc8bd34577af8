"""The quantities of a tail from its blocks: the value is their mean, the error their spread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workers.numerics.probes import Estimate, mean_of_probes, sampled
from workers.statistics.excursions.excursion import Excursion
from workers.statistics.excursions.tail_run import AGAINST_GRADIENT, GRADIENT, LOSS, AtMeans, Blocks
from workers.statistics.excursions.tail_stream import AGAINST_DIRECTION, DIRECTION, VELOCITY

Array = npt.NDArray[np.float64]

_TELESCOPING = ("fluctuation_dissipation_ratio", "fluctuation_dissipation_gap")

_CLIMB = 10.0
"""A mean loss in the second half above this multiple of the first's has run away: a choice."""


def why_runaway(blocks: Blocks) -> str | None:
    """Return why a run does not stay near a minimum; None where it does."""
    if blocks.nonfinite_before is not None:
        return f"the run left the finite numbers before step {blocks.nonfinite_before}"
    first, second = (half.mean() for half in np.split(blocks.shown[:, LOSS], 2))
    if second <= _CLIMB * first:
        return None
    return (
        f"the mean loss in the second half of the run, {second:.4g}, is above {_CLIMB:g} times that of "
        f"the first, {first:.4g}"
    )


def block_values(excursion: Excursion, blocks: Blocks, at_means: AtMeans) -> dict[str, Array]:
    """Return every quantity block by block [B], as `tail.measure` defines them.

    The ratio r = ⟨F⟩/⟨D⟩ is linear in the blocks to first order: r + (F_b - r D_b)/⟨D⟩, whose mean is r.
    """
    squared_norms, gradients = blocks.seen[:, DIRECTION], blocks.shown[:, GRADIENT]
    momentum = excursion.trial.training.momentum
    dissipation = excursion.learning_rate * (1 + momentum) / 2 * blocks.seen[:, VELOCITY]
    against = blocks.seen[:, AGAINST_DIRECTION]
    fluctuation = against - blocks.directions @ blocks.mean_displacement
    ratio = fluctuation.mean() / dissipation.mean()
    residual = fluctuation - ratio * dissipation
    return {
        **_excess_losses(blocks, at_means),
        "expected_gradient_norm_squared": gradients,
        "batch_gradient_norm_squared": squared_norms,
        "velocity_norm_squared": blocks.seen[:, VELOCITY],
        "gradient_noise_trace": excursion.noise_of_example * (squared_norms - gradients),
        "fluctuation_dissipation_ratio": ratio + residual / dissipation.mean(),
        "fluctuation_dissipation_gap": against - dissipation,
    }


def mean_of_blocks(quantity: str, values: Array) -> Estimate:
    """Average a quantity over blocks [B].

    The gap of a step is the loss of a quadratic form y of weights and velocity about c: without
    momentum (‖θ_t-c‖² - ‖θ_{t+1}-c‖²)/2η. A block's mean is (y_begin - y_end)/n, that of the run
    (y_0 - y_T)/(nB): of the same spread, but for the factor 1/B. So is the ratio's, to first order.
    """
    found = mean_of_probes(values[:, None])
    if quantity in _TELESCOPING:
        return sampled(found.value, found.stderr / np.sqrt(len(values)))
    return found


def _excess_losses(blocks: Blocks, at_means: AtMeans) -> dict[str, Array]:
    """Return both excess losses [B], less terms linear in θ̄_b - θ̄ that sum to 0 over blocks.

    The mean of B independent blocks has 1/B of the variance of one about L*, and a block 1 - 1/B of
    it about their mean; so a block's excess loss above the mean, over B - 1, equals the mean's
    above L*.
    """
    displacement = blocks.displacement - blocks.mean_displacement
    drift = displacement @ at_means.gradient
    excess = blocks.shown[:, LOSS] - at_means.loss - drift
    of_means = at_means.block_losses - at_means.loss - drift
    against = blocks.shown[:, AGAINST_GRADIENT] - blocks.gradients @ blocks.mean_displacement
    share = 1 / (len(displacement) - 1)
    return {
        "excess_loss": excess + share * of_means,
        "harmonic_excess_loss": (against - drift + share * (at_means.block_slopes - drift)) / 2,
    }
