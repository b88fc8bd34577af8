"""The glossary: every measured quantity with its symbol, unit and meaning, all per example (mean loss)."""

from __future__ import annotations

from workers.contract.quantity import Quantity
from workers.contract.registry import STATISTICS

_SHARED = (
    Quantity("mean_loss", "L", "loss", "Mean loss per example."),
    Quantity("accuracy", "accuracy", "1", "Share of examples whose largest output is the label."),
    Quantity(
        "gradient_norm_squared",
        "‖∇L‖²",
        "loss²/parameter²",
        "Squared norm of the gradient of the mean loss.",
    ),
    Quantity(
        "gradient_noise_trace",
        "tr σ²",
        "loss²/parameter²",
        "Trace of one example's centred gradient covariance, divided by N.",
    ),
    Quantity("hessian_trace", "tr H", "loss/parameter²", "Trace of the Hessian of the mean loss."),
    Quantity(
        "hessian_noise_trace",
        "tr(σ²H)",
        "loss³/parameter⁴",
        "Trace of the gradient covariance times the Hessian.",
    ),
    Quantity(
        "hessian_frobenius_squared",
        "tr H²",
        "loss²/parameter⁴",
        "Squared Frobenius norm of the Hessian.",
    ),
    Quantity(
        "hessian_top_eigenvalue",
        "λ₁",
        "loss/parameter²",
        "Largest eigenvalues of the Hessian, index 0 … k-1.",
    ),
    Quantity(
        "excess_loss", "E[L]-L*", "loss", "Mean loss of the SGD iterates above that of their mean."
    ),
    Quantity(
        "expected_gradient_norm_squared",
        "E‖∇L‖²",
        "loss²/parameter²",
        "Mean squared gradient norm over the SGD iterates.",
    ),
    Quantity("parameter_norm_squared", "‖θ‖²", "parameter²", "Squared norm of the parameters."),
    Quantity(
        "gradient_curvature",
        "∇LᵀH∇L",
        "loss³/parameter⁴",
        "Curvature of the mean loss along its own gradient, times the gradient's squared norm.",
    ),
    Quantity(
        "simple_noise_scale",
        "B_simple",
        "examples",
        "tr σ² / ‖∇L‖²: the batch size at which noise and gradient are of one size.",
    ),
    Quantity(
        "noise_scale",
        "B_noise",
        "examples",
        "tr(σ²H) / ∇LᵀH∇L: the same, seen by the loss.",
    ),
    Quantity(
        "hessian_residual_norm",
        "‖Hu - λu‖",
        "loss/parameter²",
        "How far an eigenvalue can be from an exact one, at most; index as of the eigenvalue.",
    ),
    Quantity(
        "harmonic_excess_loss",
        "½⟨(θ-θ̄)·∇L⟩",
        "loss",
        "The excess loss if the loss were quadratic about the mean of the SGD iterates.",
    ),
    Quantity(
        "batch_gradient_norm_squared",
        "E‖g_B‖²",
        "loss²/parameter²",
        "Mean squared norm of the gradient of a batch over the steps of SGD.",
    ),
    Quantity(
        "velocity_norm_squared",
        "E‖v‖²",
        "loss²/parameter²",
        "Mean squared norm of the momentum's running sum of gradients over the steps of SGD.",
    ),
    Quantity(
        "fluctuation_dissipation_ratio",
        "⟨(θ-θ̄)·g_B⟩ / ½η(1+μ)⟨‖v‖²⟩",
        "1",
        "1 in a stationary state (Yaida 2018, FDR1).",
    ),
    Quantity(
        "fluctuation_dissipation_gap",
        "⟨(θ-c)·g_B⟩ - ½η(1+μ)⟨‖v‖²⟩",
        "loss",
        "0 in a stationary state, about any fixed c; index 0 and 1 are the halves of the run.",
    ),
    Quantity(
        "direction_variance",
        "uᵢᵀcov(θ)uᵢ",
        "parameter²",
        "Variance of the SGD iterates along an eigenvector of the Hessian, index 0 … k-1.",
    ),
    Quantity(
        "direction_noise",
        "uᵢᵀσ²uᵢ",
        "loss²/parameter²",
        "Gradient covariance along an eigenvector of the Hessian, index 0 … k-1.",
    ),
)

_OWN = tuple(
    quantity
    for statistic in STATISTICS.values()
    for quantity in statistic.quantities
    if isinstance(quantity, Quantity)
)

GLOSSARY: dict[str, Quantity] = {quantity.name: quantity for quantity in (*_SHARED, *_OWN)}
"""Those that several statistics measure, then those that one has brought along."""

STATISTIC_QUANTITIES: dict[str, tuple[str, ...]] = {
    name: tuple(each.name if isinstance(each, Quantity) else each for each in statistic.quantities)
    for name, statistic in STATISTICS.items()
}
"""What each built-in statistic measures of the whole model."""
