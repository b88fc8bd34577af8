"""`noise_curvature`: tr(σ²H) without bias, and the noise scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workers.contract.settings import BatchNormMode, EstimateSpec, Splits

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class NoiseCurvatureSpec(EstimateSpec):
    """tr(σ²H), unbiased, with ∇LᵀH∇L and both noise scales; whole model and each layer's share.

    A probe is 32 example gradients against the curvature of 32 examples, all drawn in proportion to
    their norms, and one Hessian-vector product of the residual curvature on one batch.
    """

    numerics_version = 3
    quantities = (
        "hessian_noise_trace",
        "gradient_noise_trace",
        "gradient_norm_squared",
        "gradient_curvature",
        "simple_noise_scale",
        "noise_scale",
    )

    name: Literal["noise_curvature"] = "noise_curvature"
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"

    def stated_gradients(self, batch_size: int, num_train: int) -> float:  # noqa: ARG002
        """Return the cost as the algorithm counts it: a pass of norms, two products of 3, and probes.

        A ResNet-8 took 13 such gradients' time on 2,000 images of 32 × 32 pixels, where 12.8 are counted; of
        1,437 images of 8 × 8 pixels, where the steps of a probe count more than its examples, three times as many.
        """
        return 7.7 + self.num_probes * 160 / num_train

    def refuse_network(self, network: object) -> None:
        """Refuse layers without a rule."""
        from workers.per_example.dissection import (
            refuse_without_rules,
        )  # here: who plans needs no TensorFlow

        refuse_without_rules(network)


def measure(context: MeasurementContext, settings: NoiseCurvatureSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import noise_curvature  # here: who plans needs no TensorFlow

    return noise_curvature.measure(context, settings)


ITEM = NoiseCurvatureSpec
