"""SGD whose epochs are shuffled: batches of one epoch share no example."""

from __future__ import annotations

from analysis.evidence.assumptions import DISCRETE_STEP
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.law import Citation, Law
from analysis.laws.palette import PURPLE
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import (
    CONSTANT,
    INDEPENDENT,
    REST,
    broken,
    rest_faults,
    stability_faults,
)
from analysis.laws.spectral_law import Array, spectral_predictions
from analysis.mathematics import linear_dynamics


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E[L] - L* = ½∫ λV(λ) dμ_σ and E‖∇L‖² = ∫ λ²V(λ) dμ_σ under shuffled epochs.

    V: variance of a direction with noise c = 1, from batches of variance (1/m)(N-m)/(N-1) whose
    covariance within an epoch is -1/(N-1); momentum by the recursion of (x, v). Of a fork: mean over
    its window's steps, counted from the start of an epoch at one point. Of a stationary run: mean over
    all places of an epoch. Directions with ηλK/(1-μ) < 3 vary much less than under independent
    batches, K = ⌊N/m⌋.

    Assumptions: H and σ² constant where SGD goes; a stationary state where the run is taken for one.

    Source: Kuehn and Rosenow (2023) for the anti-correlation; the recursion of (x, v) with it.
    """
    steps, num_train = conditions.excursion.steps, conditions.state.num_train
    is_stationary = steps is None
    faults = rest_faults(conditions) if is_stationary else stability_faults(conditions)
    if not conditions.is_shuffled:
        faults.append(INDEPENDENT)

    def energy(nodes: Array, _seed: int) -> Array:
        if num_train is None:
            return nodes * float("nan")
        return nodes * linear_dynamics.shuffled_variance(nodes, conditions.sgd, num_train, steps)

    assumed = (*(REST if is_stationary else ()), *CONSTANT, DISCRETE_STEP)
    return spectral_predictions(
        conditions,
        energy,
        faults=(*faults, *broken(conditions, assumed)),
        is_stationary=is_stationary,
    )


LAW = Law(
    name="shuffled",
    title="Kuehn 2023, shuffled batches",
    place=70,
    predict=predict,
    targets=tuple(TARGETS),
    windows="every",
    sampler="shuffle",
    color=PURPLE,
    marker="P",
    source=Citation(
        "Kuehn and Rosenow (2023), “Correlated Noise in Epoch-Based Stochastic Gradient Descent: "
        "Implications for Weight Variances”, for the anti-correlation; arXiv 2306.05300",
        "https://arxiv.org/abs/2306.05300",
    ),
)
