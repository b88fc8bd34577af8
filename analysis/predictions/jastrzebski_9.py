"""Jastrzębski's law: the excess loss is set by the trace of the Hessian."""

from __future__ import annotations

from analysis.predictions.law import CellConditions, Prediction, quarter_trace_law

NAME = "jastrzebski_9"


def predict(conditions: CellConditions) -> Prediction:
    """Predict E[L] - L* = (η/4m)·tr H.

    η: learning rate at which the excess loss stands, here the schedule's final one. m: batch size.
    H: Hessian of the mean total objective, L2 included, at the minimum.

    Assumptions: those of `wang_4_45`, a quadratic bowl, and σ² = H. The last holds for a likelihood
    of a well specified model; how far it is off is tr σ²/tr H, the magnitude difference of Table 1.

    Returns:
        `excess_loss` in units of the mean loss, its error from the spread of tr H over seeds.
    Source: Jastrzębski et al. (2018), Eq 9; Luo, Wang and Fung (2020), Eq 6.
    """
    return quarter_trace_law(NAME, "hessian_trace", conditions)
