"""What to measure on a kept model: one frozen spec a statistic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from workers.contract.catalog import is_plugin
from workers.contract.frozen import Count, Frozen, Seed, refuse_repeats
from workers.contract.specs import PLUGIN, PluginSpec, name_tag

Split = Literal["train", "test"]
BatchNormMode = Literal["frozen", "moving_average"]


def _differing(splits: list[Split]) -> list[Split]:
    refuse_repeats("splits", splits)
    return splits


Splits = Annotated[list[Split], AfterValidator(_differing)]


class LossesSpec(Frozen):
    """Mean loss and accuracy of the kept model over whole splits."""

    name: Literal["losses"] = "losses"
    splits: Splits = Field(default=["train", "test"], min_length=1)
    bn_mode: BatchNormMode = "frozen"


class TracesSpec(Frozen):
    """tr σ² exactly and tr H by the first-order route, whole model and per layer.

    `columns`: "exact" uses every column of the loss Hessian's square root (stderr 0); a number K
    uses K Rademacher columns for each example. `replicate_examples` is the size of the random
    subset that gets a second, independent set of columns, from which the standard error comes.
    """

    name: Literal["traces"] = "traces"
    columns: Literal["exact"] | Count = 1
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"
    replicate_examples: Annotated[int, Field(ge=2)] = 2000
    probe_seed: Seed = 0


_WITHOUT_SPREAD = ("losses",)


def needs_spread(name: str) -> bool:
    """Say whether a statistic of this name measures how examples differ; not known of plugins."""
    return name not in _WITHOUT_SPREAD and not is_plugin(name)


def _from_bare_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


StatisticSpec = Annotated[
    Annotated[LossesSpec, Tag("losses")]
    | Annotated[TracesSpec, Tag("traces")]
    | Annotated[PluginSpec, Tag(PLUGIN)],
    Discriminator(name_tag),
    BeforeValidator(_from_bare_name),
]
