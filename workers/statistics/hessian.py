"""`hessian`: top eigenvalues by Lanczos, tr H and tr H² exactly along its directions, by probes beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from workers.contract.errors import Fault
from workers.contract.frozen import Count, Finite, Misfit
from workers.contract.settings import BatchNormMode, EstimateSpec, Objective, Splits, subset_faults

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class HessianSpec(EstimateSpec):
    """Top eigenvalues of the Hessian by Lanczos, and tr H, tr H² by probes beside its directions.

    Lanczos steps are taken until the residual norms of `num_eigenpairs` values are at most
    `eigenvalue_tolerance` times the largest value, or `max_lanczos_steps` are spent; 0 eigenpairs take
    the probes alone. `num_examples` measures a random subset of the split.
    """

    numerics_version = 3
    quantities = (
        "hessian_trace",
        "hessian_frobenius_squared",
        "hessian_top_eigenvalue",
        "hessian_residual_norm",
    )

    name: Literal["hessian"] = "hessian"
    num_eigenpairs: Annotated[int, Field(ge=0, le=1000)] = 10
    max_lanczos_steps: Annotated[int, Field(ge=1, le=10_000)] = 100
    eigenvalue_tolerance: Annotated[Finite, Field(gt=0, lt=1)] = 1e-3
    objective: Objective = "data"
    num_examples: Count | None = None
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"

    @model_validator(mode="after")
    def _has_steps(self) -> HessianSpec:
        if self.max_lanczos_steps < self.num_eigenpairs:
            raise Misfit(
                f"max_lanczos_steps {self.max_lanczos_steps} is below num_eigenpairs "
                f"{self.num_eigenpairs}",
                "raise the one or lower the other",
            )
        return self

    def stated_gradients(self, batch_size: int, num_train: int) -> float:  # noqa: ARG002
        """Return the cost as the algorithm counts it, 3 for a product, were all Lanczos steps spent."""
        share = min(1.0, (self.num_examples or num_train) / num_train)
        return 3 * share * (self.max_lanczos_steps + self.num_probes)

    def data_faults(self, sizes: Mapping[str, int], batch_size: int) -> Iterator[Fault]:  # noqa: ARG002
        """Find splits smaller than the subset asked of them."""
        yield from subset_faults(self.num_examples, self.splits, sizes)


def measure(context: MeasurementContext, settings: HessianSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import hessian  # here: who plans needs no TensorFlow

    return hessian.measure(context, settings)


ITEM = HessianSpec
