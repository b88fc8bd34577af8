"""`spectrum`: spectral measures of H by Lanczos quadrature, of Rademacher and of gradient-noise vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from workers.contract.errors import Fault
from workers.contract.frozen import Count, Seed, refuse_repeats
from workers.contract.items import StatisticItem
from workers.contract.settings import BatchNormMode, Objective, SpectrumKind, Splits, subset_faults

if TYPE_CHECKING:
    from workers.contract.records import Measurement, SpectrumNode
    from workers.statistics.measuring.context import MeasurementContext


def _differing_kinds(kinds: list[SpectrumKind]) -> list[SpectrumKind]:
    refuse_repeats("kinds", kinds)
    return kinds


class SpectrumSpec(StatisticItem):
    """Spectral measures of the Hessian by Lanczos quadrature: of Rademacher and of noise vectors.

    `num_steps` nodes for each of `num_draws` vectors of each kind. The laws need `objective: total`.
    """

    numerics_version = 3
    is_by_few_draws = True
    quantities = (
        "hessian_trace",
        "hessian_frobenius_squared",
        "gradient_noise_trace",
        "hessian_noise_trace",
    )

    name: Literal["spectrum"] = "spectrum"
    num_steps: Annotated[int, Field(ge=2, le=10_000)] = 80
    num_draws: Annotated[int, Field(ge=1, le=10_000)] = 4
    kinds: Annotated[list[SpectrumKind], AfterValidator(_differing_kinds)] = Field(
        default=["hessian", "noise"], min_length=1
    )
    objective: Objective = "data"
    num_examples: Count | None = None
    splits: Annotated[Splits, Field(max_length=1)] = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"
    probe_seed: Seed = 0

    def stated_gradients(self, batch_size: int, num_train: int) -> float:  # noqa: ARG002
        """Return the cost as the algorithm counts it, 3 for a product."""
        share = min(1.0, (self.num_examples or num_train) / num_train)
        return 3 * share * self.num_steps * self.num_draws * len(self.kinds)

    def data_faults(self, sizes: Mapping[str, int], batch_size: int) -> Iterator[Fault]:  # noqa: ARG002
        """Find splits smaller than the subset asked of them."""
        yield from subset_faults(self.num_examples, self.splits, sizes)


def measure(
    context: MeasurementContext, settings: SpectrumSpec
) -> list[Measurement | SpectrumNode]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import spectrum  # here: who plans needs no TensorFlow

    return spectrum.measure(context, settings)


ITEM = SpectrumSpec
