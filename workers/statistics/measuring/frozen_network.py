"""The kept network made ready to measure: a copy with its batch norms frozen, and the splits."""

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
    """What every statistic in inference mode measures.

    Attributes:
        network: A copy, so that measuring leaves the kept one as it is.
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
        """Copy the network and freeze the copy, after whatever the statistic refuses.

        Args:
            context: Of the measurement.
            bn_mode: Which statistics the batch norms hold.
            splits: Names of those to measure.
            passes: Of the measurement; it runs the pass for population statistics if no statistic of
                the trial has taken them.

        Raises:
            UserError: A model that is not a graph of layers, a batch norm that cannot be frozen.
            Drained: A stop was asked for; the state has been saved.
        """
        network = copy_network(context.model)
        there = {name: _resident(context, name) for name in splits}

        def train() -> ResidentSplit:
            return there["train"] if "train" in there else _resident(context, "train")

        freeze(network, bn_mode, train, passes, context.shared)
        return cls(network, there)


def _resident(context: MeasurementContext, split: str) -> ResidentSplit:
    return make_resident(context.split(split), context.dataset)
