"""SGD some steps after it left one point, batches drawn independently."""

from __future__ import annotations

from analysis.evidence.assumptions import DISCRETE_STEP
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.law import Law
from analysis.laws.palette import GREEN
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import (
    CONSTANT,
    REST,
    broken,
    independence_faults,
    rest_faults,
    stability_faults,
)
from analysis.laws.spectral_law import Array, spectral_predictions
from analysis.mathematics import linear_dynamics


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E[L] - L* = (η/2m) ∫ (1 - (1-ηλ)^{2t})/(2-ηλ) dμ_σ(λ), and E‖∇L‖² with 2λ within.

    Mean over the steps t of the window at which the weights were looked at; t counts from the one
    point that all streams left, at rest. With momentum the variance of each direction comes from
    the recursion of (x, v). For a stationary run t is infinite: `finite_learning_rate`. Directions of
    negative λ take part: SGD runs down along them, and the loss falls.

    Assumptions: H and σ² constant where SGD goes; batches drawn independently. No stationary state
    is needed.

    Source: the recursion of SGD on a quadratic: the geometric sum of (1-ηλ)^{2s} η²c/m over s < t.
    """
    steps, sgd = conditions.excursion.steps, conditions.sgd
    is_stationary = steps is None

    def energy(nodes: Array, _seed: int) -> Array:
        if steps is None:
            return linear_dynamics.stationary_energy(nodes, sgd)
        return nodes * linear_dynamics.independent_variance(nodes, sgd, steps)

    assumed = (*(REST if is_stationary else ()), *CONSTANT, DISCRETE_STEP)
    faults = rest_faults(conditions) if is_stationary else stability_faults(conditions)
    return spectral_predictions(
        conditions,
        energy,
        faults=(*faults, *independence_faults(conditions), *broken(conditions, assumed)),
        is_stationary=is_stationary,
    )


LAW = Law(
    name="finite_time",
    title="Finite time, from one point",
    place=50,
    predict=predict,
    targets=tuple(TARGETS),
    windows="every",
    sampler="replacement",
    color=GREEN,
    marker="^",
)
