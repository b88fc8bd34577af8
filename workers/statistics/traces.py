"""`traces`: tr σ² exactly, tr H by first derivatives where they are enough, ‖∇L‖² and ‖θ‖²."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from workers.contract.frozen import Count, Seed
from workers.contract.items import StatisticItem
from workers.contract.settings import BatchNormMode, Splits

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class TracesSpec(StatisticItem):
    """tr σ² exactly and tr H by the first-order route, whole model and per layer.

    `columns`: "exact" uses every column of the loss Hessian's square root (stderr 0); a number K
    uses K Rademacher columns for each example. `replicate_examples` is how many further, independent
    sets of columns are drawn, from which the standard error comes: more of them for examples of large
    gradients, and several for each example where there are fewer examples. The least number is set by
    measured coverage.
    """

    numerics_version = 3
    quantities = (
        "gradient_noise_trace",
        "hessian_trace",
        "gradient_norm_squared",
        "parameter_norm_squared",
    )

    name: Literal["traces"] = "traces"
    columns: Literal["exact"] | Count = 1
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"
    replicate_examples: Annotated[int, Field(ge=1000, le=10**9)] = 2000
    probe_seed: Seed = 0

    def stated_gradients(self, batch_size: int, num_train: int) -> float:  # noqa: ARG002
        """Return the cost as tests/benchmarks/measurement_cost.py measured it."""
        columns = 10 if self.columns == "exact" else self.columns
        return 2.6 + 0.8 * (columns - 1)

    def refuse_network(self, network: object) -> None:
        """Refuse layers without a rule, and all columns where products are needed."""
        from workers.statistics.algorithms import traces  # here: who plans needs no TensorFlow

        traces.refuse(network, self)


def measure(context: MeasurementContext, settings: TracesSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import traces  # here: who plans needs no TensorFlow

    return traces.measure(context, settings)


ITEM = TracesSpec
