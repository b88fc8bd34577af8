"""Wang's second law: the gradient norm is set by the noise where the loss is curved."""

from __future__ import annotations

from dataclasses import replace

from analysis.evidence.conditions import CellConditions, is_by_few_draws
from analysis.laws.law import Citation, Law
from analysis.laws.palette import BLUE
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import CONSTANT, REST, SMALL_STEPS
from analysis.laws.trace_law import TraceFormula, trace_prediction
from analysis.records.seed_values import SeedValues

_INPUT = "hessian_noise_trace"
_FORMULA = TraceFormula(_INPUT, lambda rate, batch_size: rate / (2 * batch_size), "(η/2m)·tr(σ²H)")


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E‖∇L‖² = (η/2m)·tr(σ²H) + o(η/m), about the gradient at the mean iterate.

    η: learning rate at which the gradients were measured. m: batch size. σ²: centred covariance of
    one example's gradient, H: Hessian, both of the total objective at the minimum (mean loss).
    tr(σ²H) is that of `noise_curvature`, or else ∫ λ dμ_σ.

    Assumptions: those of `wang_4_45`.

    Returns:
        `expected_gradient_norm_squared`, its error that of tr(σ²H).
    Source: Wang (2019), Eq 4.49; Luo, Wang and Fung (2020), Eq 13, which their text calls 4.46.
    """
    return trace_prediction(
        "expected_gradient_norm_squared",
        _FORMULA,
        _with_first_moment(conditions),
        assumed=(*REST, *SMALL_STEPS, *CONSTANT),
    )


def _with_first_moment(conditions: CellConditions) -> CellConditions:
    """Return conditions with tr(σ²H) from μ_σ, whose mass is known better, where only its draws gave it."""
    measured = conditions.inputs.get(_INPUT)
    spectra = conditions.noise_spectra
    if conditions.spectra is None or not spectra:
        return conditions
    if measured is not None and not is_by_few_draws(measured.statistic):
        return conditions
    found = {seed: each.integral(each.nodes) for seed, each in spectra.items()}
    values = {seed: each.value for seed, each in found.items()}
    moment = SeedValues(conditions.spectra.statistic_id, "spectrum", values, found)
    return replace(conditions, inputs={**conditions.inputs, _INPUT: moment})


LAW = Law(
    name="wang_4_46",
    title="Wang 2019, Eq 4.49",
    place=30,
    predict=predict,
    targets=("expected_gradient_norm_squared",),
    windows="longest",
    sampler="replacement",
    color=BLUE,
    marker="v",
    formula=_FORMULA,
    source=Citation(
        "Wang (2019), “Asymptotic Analysis via Stochastic Differential Equations of Gradient Descent "
        "Algorithms in Statistical and Computational Paradigms”, Eq 4.49; arXiv 1711.09514",
        "https://arxiv.org/abs/1711.09514",
    ),
)
