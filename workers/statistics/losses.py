"""`losses`: mean loss and accuracy of the kept model over whole splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workers.contract.items import StatisticItem
from workers.contract.settings import BatchNormMode, Splits

if TYPE_CHECKING:
    from workers.contract.records import Measurement
    from workers.statistics.measuring.context import MeasurementContext


class LossesSpec(StatisticItem):
    """Mean loss and accuracy of the kept model over whole splits."""

    numerics_version = 2
    quantities = (
        "mean_loss",
        "accuracy",
    )
    needs_spread = False

    name: Literal["losses"] = "losses"
    splits: Splits = Field(default=["train", "test"], min_length=1)
    bn_mode: BatchNormMode = "frozen"


def measure(context: MeasurementContext, settings: LossesSpec) -> list[Measurement]:
    """Measure as the algorithm of this name says."""
    from workers.statistics.algorithms import losses  # here: who plans needs no TensorFlow

    return losses.measure(context, settings)


ITEM = LossesSpec
