"""`tail`: one long run of SGD at a constant rate: is it stationary, and how far above the minimum?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from workers.contract.excursions import ExcursionSpec
from workers.contract.frozen import Count, Misfit

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class TailSpec(ExcursionSpec):
    """One long run: a burn-in, then `num_steps` during which it is tested for being stationary.

    Loss and gradient of the whole training set are taken at `num_records` steps, at random places
    inside epochs. Block means over the run are the units of every interval.
    """

    numerics_version = 3
    quantities = (
        "excess_loss",
        "harmonic_excess_loss",
        "expected_gradient_norm_squared",
        "batch_gradient_norm_squared",
        "velocity_norm_squared",
        "gradient_noise_trace",
        "fluctuation_dissipation_ratio",
        "fluctuation_dissipation_gap",
        "hessian_top_eigenvalue",
        "hessian_residual_norm",
    )

    name: Literal["tail"] = "tail"
    burn_in_steps: Count = 5_000
    num_steps: Annotated[int, Field(ge=1_000, le=10**9)] = 20_000
    num_records: Annotated[int, Field(ge=64, le=10**6)] = 256

    @model_validator(mode="after")
    def _has_steps_to_record(self) -> TailSpec:
        if self.num_steps < self.num_records:
            raise Misfit(
                f"num_steps {self.num_steps} is below num_records {self.num_records}",
                "raise the one or lower the other",
            )
        return self

    def stated_gradients(self, batch_size: int, num_train: int) -> float:
        """Return the cost by which time is stated: all steps, a pass a record, and products.

        The algorithm counts 33 passes more, at the means of the blocks and of the run.
        """
        steps = (self.burn_in_steps + self.num_steps) * batch_size / num_train
        return steps + self.num_records + 3 * self.max_lanczos_steps


def measure(context: MeasurementContext, settings: TailSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import tail  # here: who plans needs no TensorFlow

    return tail.measure(context, settings)


ITEM = TailSpec
