"""Jastrzębski's law: the excess loss is set by the trace of the Hessian."""

from __future__ import annotations

from analysis.evidence.assumptions import NO_SADDLE, NOISE_IS_CURVATURE
from analysis.evidence.conditions import CellConditions
from analysis.laws.law import Citation, Law
from analysis.laws.palette import VERMILLION
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import CONSTANT, REST, SMALL_STEPS
from analysis.laws.trace_law import TraceFormula, trace_prediction

_FORMULA = TraceFormula(
    "hessian_trace", lambda rate, batch_size: rate / (4 * batch_size), "(η/4m)·tr H"
)


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
    assumed = (*REST, *SMALL_STEPS, *CONSTANT, NO_SADDLE, NOISE_IS_CURVATURE)
    return trace_prediction("excess_loss", _FORMULA, conditions, assumed=assumed)


LAW = Law(
    name="jastrzebski_9",
    title="Jastrzębski 2018, Eq 9",
    place=20,
    predict=predict,
    targets=("excess_loss",),
    windows="longest",
    sampler="replacement",
    color=VERMILLION,
    marker="s",
    dashes=":",
    formula=_FORMULA,
    source=Citation(
        "Jastrzębski et al. (2018), “Three factors influencing minima in SGD”, Eq 9; "
        "arXiv 1711.04623",
        "https://arxiv.org/abs/1711.04623",
    ),
)
