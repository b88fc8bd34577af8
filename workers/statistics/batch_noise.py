"""`batch_noise`: what drives SGD in training mode, where batch norms see the batch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from workers.contract.errors import Fault
from workers.contract.frozen import Count, refuse_repeats
from workers.contract.settings import EstimateSpec

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext

_LEAVE_OUT = "leave `batch_noise` out of `measure`"


def _differing_multiples(multiples: list[int]) -> list[int]:
    refuse_repeats("multiples", multiples)
    return multiples


class BatchNoiseSpec(EstimateSpec):
    """What drives SGD in training mode: m tr cov(g_B) at multiples of the batch size m, and tr H at m.

    Batch norm takes each batch's own statistics (`bn_mode: batch`). A probe is a pair of independent
    batches of each size.
    """

    numerics_version = 3
    quantities = (
        "gradient_noise_trace",
        "gradient_norm_squared",
        "hessian_trace",
    )

    name: Literal["batch_noise"] = "batch_noise"
    multiples: Annotated[list[Count], AfterValidator(_differing_multiples)] = Field(
        default=[1, 2, 4], min_length=1
    )
    num_probes: Annotated[int, Field(ge=128, le=10**6)] = 128
    bn_mode: Literal["batch"] = "batch"

    def stated_gradients(self, batch_size: int, num_train: int) -> float:
        """Return the cost as the algorithm counts it, 3 for a product."""
        examples = self.num_probes * batch_size * (2 * sum(self.multiples) + 3)
        return examples / num_train

    def data_faults(self, sizes: Mapping[str, int], batch_size: int) -> Iterator[Fault]:
        """Find multiples of the batch size that leave no two batches to differ."""
        num_train = sizes["train"]
        largest = (num_train - 1) // batch_size
        mend = f"choose multiples of at most {largest}, or {_LEAVE_OUT}" if largest else _LEAVE_OUT
        for multiple in self.multiples:
            if multiple > largest:
                yield Fault(
                    f"{multiple} times the batch size {batch_size} leaves no two different batches of the "
                    f"{num_train} training examples",
                    "multiples",
                    mend,
                )


def measure(context: MeasurementContext, settings: BatchNoiseSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import batch_noise  # here: who plans needs no TensorFlow

    return batch_noise.measure(context, settings)


ITEM = BatchNoiseSpec
