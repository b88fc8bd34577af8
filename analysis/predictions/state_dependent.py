"""Linear regression on Gaussian features, where the noise that grows with the excursion is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.evidence.assumptions import DISSIPATION_RATIO, STATIONARITY
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.law import Citation, Law
from analysis.laws.palette import OLIVE
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import broken, independence_faults, stability_faults
from analysis.mathematics import linear_dynamics
from analysis.mathematics.linear_dynamics import SGD
from analysis.mathematics.uncertain import Uncertain
from workers.datasets.synthetic import SyntheticSpec
from workers.models.mlp import MLPSpec

Array = npt.NDArray[np.float64]

POPULATION = (
    "the features' covariance and the label noise are those the data set was drawn from; those of its "
    "N examples differ by about √(2/N)"
)
NO_DECAY = "the law is for no weight decay"
RUNS_AWAY = "the noise of the batches grows faster than SGD damps it: nothing settles"


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict the stationary E[L] - L* and E‖∇L‖² of scalar linear regression, exactly.

    y = xᵀw + ε, L = ½E(xᵀθ - y)², x Gaussian with variances feature_decay^j and a constant 1 for
    the bias, ε of the given standard deviation; batches of m drawn from the population. The noise
    grows with the distance from w, so the laws of constant σ² say too little.

    No rows for other tasks, models and losses. Assumptions: a stationary state; no weight decay;
    batches drawn independently; N so large that the training set stands for the population.

    Source: Ziyin, Liu, Mori and Ueda (2022), Theorem 2, whose features are all Gaussian; the bias is
    added by its own fourth moment.
    """
    trial = conditions.trial
    is_linear = isinstance(trial.model, MLPSpec) and not trial.model.hidden_units
    data = trial.dataset
    if not isinstance(data, SyntheticSpec) or data.task != "linear" or not is_linear:
        return []
    if trial.loss != "squared_error":
        return []
    variances = data.feature_decay ** np.arange(data.num_features, dtype=np.float64)
    found = stationary_state(variances, data.label_noise, conditions.sgd, has_bias=True)
    faults = [NO_DECAY] if trial.training.weight_decay else []
    faults += [] if found else [RUNS_AWAY]
    faults += stability_faults(conditions) + independence_faults(conditions)
    faults += broken(conditions, (STATIONARITY, DISSIPATION_RATIO))
    return [
        Prediction(
            target,
            by_seed={seed: Uncertain(found[place]) for seed in conditions.trial_ids}
            if found
            else {},
            faults=tuple(faults),
            remarks=(POPULATION,),
        )
        for place, target in enumerate(TARGETS)
    ]


def stationary_state(
    feature_variances: Array, label_noise: float, sgd: SGD, *, has_bias: bool
) -> tuple[float, float] | None:
    """Compute ½tr(AΣ) and tr(A²Σ), Σ the stationary covariance of θ, A that of the features.

    Along feature i one example's gradient has the variance
    c_i = a_i(tr(AΣ) + s²) + (E x_i⁴ - 2a_i²) Σ_i, with s the label noise, and the linear dynamics turn it into
    a_iΣ_i = E_i c_i, E_i = `stationary_energy`. With r_i = E_i a_i/(1 - E_i(E x_i⁴ - 2a_i²)/a_i) and R = Σ r_i,
    tr(AΣ) = s²R/(1 - R).

    Args:
        feature_variances: a_i [n] of independent Gaussian features, E x⁴ = 3a².
        label_noise: s.
        sgd: η, μ, m.
        has_bias: There is one more feature, the constant 1, with E x⁴ = a = 1.

    Returns:
        None where nothing settles.
    """
    variances, excess = feature_variances, feature_variances.copy()
    if has_bias:
        variances, excess = np.append(variances, 1.0), np.append(excess, -1.0)
    if (sgd.step_fraction(variances) >= 1).any():
        return None
    energy = linear_dynamics.stationary_energy(variances, sgd)
    damping = 1 - energy * excess
    if (damping <= 0).any():
        return None
    responses = energy * variances / damping
    total = float(responses.sum())
    if total >= 1:
        return None
    squared_error = label_noise**2 / (1 - total)
    return total * squared_error / 2, float(variances @ responses) * squared_error


LAW = Law(
    name="state_dependent",
    title="Ziyin 2022, Theorem 2",
    place=80,
    predict=predict,
    targets=tuple(TARGETS),
    windows="longest",
    sampler="replacement",
    color=OLIVE,
    marker="X",
    source=Citation(
        "Ziyin, Liu, Mori and Ueda (2022), “Strength of Minibatch Noise in SGD”, Theorem 2; "
        "arXiv 2102.05375",
        "https://arxiv.org/abs/2102.05375",
    ),
)
