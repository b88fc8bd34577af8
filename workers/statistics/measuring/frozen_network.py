"""The kept network prepared for measuring: a copy with frozen batch norms, and the splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras

from workers.contract.settings import BatchNormMode, SplitName
from workers.losses.loss import Loss
from workers.network.batch_norm import copy_network, freeze
from workers.network.resident import ResidentSplit, find_resident, make_resident
from workers.network.risk import Risk
from workers.process.built import Built
from workers.resumable.passes import Passes
from workers.statistics.measuring.context import MeasurementContext


@dataclass(frozen=True)
class FrozenNetwork:
    """The network and data that every statistic in inference mode measures.

    Attributes:
        network: A copy, so that measuring leaves the kept one unchanged.
        splits: The splits to measure by name, on the device.
        built: What is compiled of this network, for whatever weights it will hold.
    """

    network: keras.Model
    splits: dict[SplitName, ResidentSplit]
    built: Built

    @classmethod
    def of(
        cls,
        context: MeasurementContext,
        bn_mode: BatchNormMode,
        splits: Iterable[SplitName],
        passes: Passes,
    ) -> FrozenNetwork:
        """Copy the network and freeze the copy, after the statistic's own checks.

        Where the context has what was built before, the copy is the one that was measured then: a
        statistic that takes several networks at once has a context without.

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
        built, dataset = context.built or Built(), context.dataset
        copy = _copy(context, built)
        resident = {
            name: find_resident(dataset, context.trial.dataset, name, built) for name in splits
        }

        def train() -> ResidentSplit:
            return resident.get("train") or make_resident(dataset.train, dataset)

        freeze(copy.network, bn_mode, train, passes, context.shared, built=copy.built)
        return cls(copy.network, resident, copy.built)

    def risk(self, loss: Loss) -> Risk:
        """Return the risk of the network under the trial's loss, its parameters as in `params_of`."""
        return self.built.get("risk", lambda: Risk(self.network, loss))


@dataclass(frozen=True)
class _Copy:
    """A copy of a network, and what is compiled of it; they come and go together."""

    network: keras.Model
    built: Built


def _copy(context: MeasurementContext, built: Built) -> _Copy:
    trial, model = context.trial, context.model
    shapes, names = (
        (model.input_shape, model.output_shape),
        tuple(each.name for each in model.layers),
    )
    kind = "measured", trial.model.model_dump_json(), trial.loss, shapes, names
    copy = built.get(kind, lambda: _Copy(copy_network(model), Built()))
    copy.network.set_weights(model.get_weights())
    return copy
