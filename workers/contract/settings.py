"""Settings that several items share: splits, batch norm's mode, the objective, independent probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from workers.contract.errors import Fault
from workers.contract.frozen import Finite, Misfit, Seed, refuse_repeats
from workers.contract.items import StatisticItem

Sampler = Literal["shuffle", "replacement"]
"""Each example once an epoch, in random order; or every draw independent."""

SplitName = Literal["train", "test"]
BatchNormMode = Literal["frozen", "moving_average"]
Objective = Literal["data", "total"]
SpectrumKind = Literal["hessian", "noise"]
Probes = Annotated[int, Field(ge=64, le=10**6)]
"""Independent units of an estimate; the least number is set by measured coverage."""


def _differing(splits: list[SplitName]) -> list[SplitName]:
    refuse_repeats("splits", splits)
    return splits


Splits = Annotated[list[SplitName], AfterValidator(_differing)]


def subset_faults(
    num_examples: int | None, splits: Sequence[SplitName], sizes: Mapping[str, int]
) -> Iterator[Fault]:
    """Find the splits, of these sizes, that are smaller than the subset asked of them; None asks for all."""
    for split in splits:
        if num_examples is not None and num_examples > sizes[split]:
            yield Fault(
                f"num_examples {num_examples} is more than the {sizes[split]} examples of the split {split!r}",
                "num_examples",
                f"give at most {sizes[split]}, or leave it out for all of them",
            )


class EstimateSpec(StatisticItem):
    """An estimate from independent probes: how many, or until its interval is narrow enough.

    `num_probes` are taken, and with `until` more, up to `max_probes`, until half the width of the 95 %
    interval of the whole model's value is at most `until` times the value. The least number of
    probes is 64: below it Student's interval covers less than it says (measured).
    """

    num_probes: Probes = 64
    until: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    max_probes: Probes = 1024
    probe_seed: Seed = 0

    @model_validator(mode="after")
    def _has_room(self) -> EstimateSpec:
        if self.max_probes < self.num_probes:
            raise Misfit(
                f"max_probes {self.max_probes} is below num_probes {self.num_probes}",
                "raise the one or lower the other",
            )
        return self
