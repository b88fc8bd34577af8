"""The kept network prepared for measuring: a copy with frozen batch norms, and the splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras

from workers.contract.settings import BatchNormMode
from workers.network.batch_norm import copy_network, freeze
from workers.network.resident import ResidentSplit, make_resident
from workers.resumable.passes import Passes
from workers.statistics.measuring.context import MeasurementContext


@dataclass(frozen=True)
class FrozenNetwork:
    """The network and data that every statistic in inference mode measures.

    Attributes:
        network: A copy, so that measuring leaves the kept one unchanged.
        splits: The splits to measure by name, on the device; no others stay there.
    """

    network: keras.Model
    splits: dict[str, ResidentSplit]

    @classmethod
    def of(
        cls,
        context: MeasurementContext,
        bn_mode: BatchNormMode,
        splits: Iterable[str],
        passes: Passes,
    ) -> FrozenNetwork:
        """Copy the network and freeze the copy, after the statistic's own checks.

        Args:
            context: The context of the measurement.
            bn_mode: Which statistics the batch norms hold.
            splits: Names of the splits to measure.
            passes: The passes of the measurement, one more of which computes population statistics
                if no statistic of the trial has done so.

        Raises:
            UserError: The model is not a graph of layers, or a batch norm cannot be frozen.
            Drained: A stop was asked for; the state has been saved.
        """
        network = copy_network(context.model)
        resident = {name: _resident(context, name) for name in splits}

        def train() -> ResidentSplit:
            return resident["train"] if "train" in resident else _resident(context, "train")

        freeze(network, bn_mode, train, passes, context.shared)
        return cls(network, resident)


def _resident(context: MeasurementContext, split: str) -> ResidentSplit:
    return make_resident(context.split(split), context.dataset)
