"""What to measure on a kept model: the settings of any statistic, built in or a user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator

from workers.contract.items import OfSeeds, StatisticItem
from workers.contract.registry import STATISTICS
from workers.contract.specs import PluginSpec, named


class PluginStatisticSpec(OfSeeds, PluginSpec):
    """A user's own statistic."""


def _from_bare_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    StatisticSpec: TypeAlias = StatisticItem | PluginStatisticSpec
else:
    StatisticSpec = Annotated[
        named(STATISTICS, PluginStatisticSpec), BeforeValidator(_from_bare_name)
    ]
