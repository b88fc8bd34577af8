"""Wang's law: the excess loss is set by the trace of the gradient noise."""

from __future__ import annotations

from analysis.evidence.conditions import CellConditions
from analysis.laws.law import Citation, Law
from analysis.laws.palette import BLUE
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import CONSTANT, REST, SMALL_STEPS
from analysis.laws.trace_law import TraceFormula, trace_prediction

_FORMULA = TraceFormula(
    "gradient_noise_trace", lambda rate, batch_size: rate / (4 * batch_size), "(η/4m)·tr σ²"
)


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict E[L] - L* = (η/4m)·tr σ² + o(η/m).

    η: learning rate at which the excess loss was measured. m: batch size. σ²: centred covariance
    of one example's gradient of the total objective at the minimum (mean loss). L2 shifts every
    example's gradient alike, so it leaves σ² as it is.

    Assumptions: a stationary state exists (weight decay > 0 for losses of softmax outputs, no
    saddle); small η (ηλ₁ ≪ 2); σ² constant over the excursions of SGD; batches drawn independently;
    plain SGD; enough steps at this η for the directions that carry the noise to forget their past.
    No relation between σ² and H is assumed.

    Returns:
        `excess_loss` in units of the mean loss, its error that of tr σ².
    Source: Wang (2019), Eq 4.45; Luo, Wang and Fung (2020), Eq 12.
    """
    assumed = (*REST, *SMALL_STEPS, *CONSTANT)
    return trace_prediction("excess_loss", _FORMULA, conditions, assumed=assumed)


LAW = Law(
    name="wang_4_45",
    title="Wang 2019, Eq 4.45",
    place=10,
    predict=predict,
    targets=("excess_loss",),
    windows="longest",
    sampler="replacement",
    color=BLUE,
    marker="o",
    dashes="--",
    formula=_FORMULA,
    source=Citation(
        "Wang (2019), “Asymptotic Analysis via Stochastic Differential Equations of Gradient Descent "
        "Algorithms in Statistical and Computational Paradigms”, Eq 4.45; arXiv 1711.09514",
        "https://arxiv.org/abs/1711.09514",
    ),
)
