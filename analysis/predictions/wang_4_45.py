"""Wang's law: the excess loss is set by the trace of the gradient noise."""

from __future__ import annotations

from analysis.evidence.conditions import CellConditions
from analysis.predictions.law import CONSTANT, REST, SMALL_STEPS, Prediction, scaled_input

NAME = "wang_4_45"


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
    factor = conditions.sgd.learning_rate / (4 * conditions.cell.batch_size)
    assumed = (*REST, *SMALL_STEPS, *CONSTANT)
    return scaled_input(
        NAME, "excess_loss", conditions, "gradient_noise_trace", factor, assumed=assumed
    )
