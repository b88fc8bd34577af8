"""SGD along one eigenvector of the Hessian, in closed form: what each law says of its variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dynamics:
    """The steps of SGD: v ← μv + g_B, θ ← θ - ηv.

    Attributes:
        learning_rate: η.
        momentum: μ.
        batch_size: m.
    """

    learning_rate: float
    momentum: float
    batch_size: int


def jastrzebski_variance(dynamics: Dynamics) -> float:
    """Give η/(2m(1 - μ)), one value for every direction: cov θ = (η/2m) I if σ² = H.

    Source: Jastrzębski et al. (2018), Eq 9; Luo, Wang and Fung (2020), Eq 5; η/(1 - μ) for momentum.
    """
    return dynamics.learning_rate / (2 * dynamics.batch_size * (1 - dynamics.momentum))


def wang_variance(
    dynamics: Dynamics, eigenvalue: float, noise: float, steps: Sequence[int] = ()
) -> float | None:
    """Give the variance along u of discrete SGD with independent batches, λ = uᵀHu, c = uᵀσ²u.

    In the stationary state ηc/(mλ(1 - μ)(2 - ηλ/(1 + μ))), which for η → 0 solves ΓH + HΓ = σ² (Wang
    2019; Luo, Wang and Fung 2020, Eq 11, scaled by η/m). After T steps from one point with v = 0
    the part of A^T is missing: S_T = S_∞ - A^T S_∞ (A^T)ᵀ, A the 2 × 2 matrix of (θ, v); for μ = 0
    that is the factor 1 - (1 - ηλ)^{2T}.

    Args:
        dynamics: η, μ and m.
        eigenvalue: λ.
        noise: c, per example.
        steps: The variance is averaged over these T; none for the stationary state.

    Returns:
        None where there is no stationary state (λ ≤ 0, or ηλ ≥ 2(1 + μ)), or c is NaN.
    """
    rate, momentum = dynamics.learning_rate, dynamics.momentum
    if not 0 < rate * eigenvalue < 2 * (1 + momentum) or math.isnan(noise):
        return None
    step = np.array([[1 - rate * eigenvalue, -rate * momentum], [eigenvalue, momentum]])
    kick = np.array([[-rate], [1.0]])
    added = kick @ kick.T * noise / dynamics.batch_size
    stationary: Matrix = linalg.solve_discrete_lyapunov(step, added)
    if not steps:
        return float(stationary[0, 0])
    return float(np.mean([_after(step, stationary, count) for count in steps]))


def _after(step: Matrix, stationary: Matrix, count: int) -> float:
    power = np.linalg.matrix_power(step, count)
    return float((stationary - power @ stationary @ power.T)[0, 0])
