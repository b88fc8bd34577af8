"""Jastrzębski's law: the excess loss is set by the trace of the Hessian."""

from __future__ import annotations

from analysis.evidence.assumptions import NO_SADDLE, NOISE_IS_CURVATURE
from analysis.evidence.conditions import CellConditions
from analysis.predictions.law import CONSTANT, REST, SMALL_STEPS, Prediction, scaled_input

NAME = "jastrzebski_9"


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E[L] - L* = (η/4m)·tr H.

    η: learning rate at which the excess loss was measured. m: batch size. H: Hessian of the mean
    total objective, L2 included, at the minimum.

    Assumptions: those of `wang_4_45`, a quadratic bowl, and σ² = H. The last holds for a likelihood
    of a well specified model; how far it is off is tr σ²/tr H, the magnitude difference of Table 1.

    Returns:
        `excess_loss` in units of the mean loss, its error that of tr H.
    Source: Jastrzębski et al. (2018), Eq 9; Luo, Wang and Fung (2020), Eq 6.
    """
    factor = conditions.sgd.learning_rate / (4 * conditions.cell.batch_size)
    assumed = (*REST, *SMALL_STEPS, *CONSTANT, NO_SADDLE, NOISE_IS_CURVATURE)
    return scaled_input(NAME, "excess_loss", conditions, "hessian_trace", factor, assumed=assumed)
