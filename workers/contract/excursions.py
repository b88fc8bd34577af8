"""Settings of SGD that goes on from a kept model to be watched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workers.contract.frozen import Misfit, Positive, Seed
from workers.contract.items import StatisticItem
from workers.contract.settings import Sampler

ExcursionMode = Literal["frozen", "batch"]


class ExcursionSpec(StatisticItem):
    """SGD from the kept weights at a constant rate, with the trial's batch size, L2 and momentum.

    The velocity starts at zero; examples come without augmentation. `learning_rate` null is the final
    one of the trial's schedule. `bn_mode` `frozen` holds batch norm at the population statistics of the
    kept weights; `batch` normalises each batch by its own, L being the mean over batches of m that are
    drawn once, each example in one at most.
    """

    is_along_the_way = True

    learning_rate: Positive | None = None
    sampler: Sampler = "replacement"
    bn_mode: ExcursionMode = "frozen"
    num_directions: Annotated[int, Field(ge=1, le=1000)] = 10
    max_lanczos_steps: Annotated[int, Field(ge=1, le=10_000)] = 60
    stream_seed: Seed = 0

    @property
    def version(self) -> int:
        """One more with `bn_mode: batch`, whose batches of L were once neighbours in stored order."""
        return self.numerics_version + (self.bn_mode == "batch")

    @model_validator(mode="after")
    def _has_lanczos_steps(self) -> ExcursionSpec:
        if self.max_lanczos_steps < self.num_directions:
            raise Misfit(
                f"max_lanczos_steps {self.max_lanczos_steps} is below num_directions "
                f"{self.num_directions}",
                "raise the one or lower the other",
            )
        return self
