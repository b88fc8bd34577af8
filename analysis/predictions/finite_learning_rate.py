"""The stationary state of SGD with steps of finite size and momentum."""

from __future__ import annotations

from analysis.evidence.assumptions import DISCRETE_STEP
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.law import Citation, Law
from analysis.laws.palette import SKY
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import (
    CONSTANT,
    REST,
    broken,
    equilibration_remarks,
    independence_faults,
    rest_faults,
)
from analysis.laws.spectral_law import spectral_predictions
from analysis.mathematics import linear_dynamics


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
    return spectral_predictions(
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


LAW = Law(
    name="finite_learning_rate",
    title="Liu 2021, Theorem 1",
    place=40,
    predict=predict,
    targets=tuple(TARGETS),
    windows="longest",
    sampler="replacement",
    color=SKY,
    marker="D",
    source=Citation(
        "Liu, Ziyin and Ueda (2021), “Noise and Fluctuation of Finite Learning Rate Stochastic Gradient "
        "Descent”, Theorem 1; arXiv 2012.03636",
        "https://arxiv.org/abs/2012.03636",
    ),
)
