"""The stationary state of SGD with steps of finite size and momentum."""

from __future__ import annotations

from analysis.evidence.assumptions import DISCRETE_STEP
from analysis.evidence.conditions import CellConditions
from analysis.mathematics import linear_dynamics
from analysis.predictions.law import (
    CONSTANT,
    REST,
    Prediction,
    broken,
    equilibration_remarks,
    independence_faults,
    rest_faults,
)
from analysis.predictions.spectral_law import spectral_predictions

NAME = "finite_learning_rate"


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E[L] - L* = η/(4m(1-μ)) ∫ 1/(1 - ηλ/(2(1+μ))) dμ_σ(λ), and E‖∇L‖².

    The latter is η/(2m(1-μ)) ∫ λ/(1 - ηλ/(2(1+μ))) dμ_σ(λ). η: learning rate at which they were
    measured. m: batch size. μ: momentum, v ← μv + g, θ ← θ - ηv. μ_σ: noise-weighted spectral
    measure of the total objective (mean loss). As ηλ → 0 and μ = 0 these are `wang_4_45` and
    `wang_4_46`.

    Assumptions: a stationary state; a quadratic loss where SGD goes; σ² constant there; batches
    drawn independently; stable steps, ηλ₁ < 2(1+μ).

    Source: Liu, Ziyin and Ueda (2021), Theorem 1, whose diagonal in H's eigenbasis it is.
    """
    if not conditions.excursion.is_longest:
        return []
    return spectral_predictions(
        NAME,
        conditions,
        lambda nodes, _seed: linear_dynamics.stationary_energy(nodes, conditions.sgd),
        faults=(
            *rest_faults(conditions),
            *independence_faults(conditions),
            *broken(conditions, (*REST, *CONSTANT, DISCRETE_STEP)),
        ),
        remarks=equilibration_remarks(conditions),
        is_stationary=True,
    )
