"""The kept network made ready for measuring its Hessian: a frozen copy, its parameters, its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from workers.batch_norm import copy_network, freeze, num_pass_examples
from workers.contract.errors import Fault, UserError
from workers.contract.statistics import HessianSpec, SpectrumSpec
from workers.estimators import random_subset
from workers.resident import ResidentSplit, make_resident
from workers.risk import Risk
from workers.statistics.context import MeasurementContext
from workers.statistics.curvature import Curvature
from workers.statistics.groups import Groups, groups_of
from workers.statistics.passes import Passes
from workers.weights import refuse_non_finite

Array = npt.NDArray[np.float64]
Settings = TypeVar("Settings", HessianSpec, SpectrumSpec)

COST_OF_PRODUCT = 3.0
"""Of a Hessian-vector product, in gradients over the same examples; counted, not timed."""


@dataclass(frozen=True)
class FrozenNetwork(Generic[Settings]):
    """A copy to measure: any network of the functional API, of whatever layers.

    Attributes:
        settings: Of the statistic.
        network: The copy.
        groups: Its parameters; vectors [P] hold them in this order.
        splits: The splits to measure by name.
        train: The training set, for the statistics of batch norm.
        weight_decay: Of the objective `total`.
    """

    settings: Settings
    network: keras.Model
    groups: Groups
    splits: dict[str, ResidentSplit]
    train: ResidentSplit
    weight_decay: float

    @classmethod
    def prepare(cls, context: MeasurementContext, settings: Settings) -> FrozenNetwork[Settings]:
        """Refuse what cannot be measured, before any work.

        Raises:
            UserError: Weights that are not finite, a model that is not a graph of layers, a batch norm
                that cannot be frozen, a subset larger than its split.
        """
        refuse_non_finite(context.model)
        network, dataset = copy_network(context.model), context.dataset
        splits: dict[str, ResidentSplit] = {
            name: make_resident(getattr(dataset, name), dataset) for name in settings.splits
        }
        _refuse_large_subset(settings, {name: len(split) for name, split in splits.items()})
        return cls(
            settings,
            network,
            groups_of(network),
            splits,
            splits.get("train") or make_resident(dataset.train, dataset),
            context.trial.training.weight_decay,
        )

    @property
    def num_params(self) -> int:
        """P."""
        return self.groups.values.size

    @property
    def num_batch_norm_examples(self) -> int:
        """How many examples `freeze` visits."""
        return num_pass_examples(self.network, self.settings.bn_mode, len(self.train))

    def freeze(self, passes: Passes) -> None:
        """Take the statistics of batch norm.

        Raises:
            Drained: A stop was asked for; the state has been saved.
        """
        freeze(self.network, self.settings.bn_mode, self.train, passes)

    def risk(self, context: MeasurementContext) -> Risk:
        """Compile L in the order of the groups."""
        variables = [each.variable for each in self.groups.parameters]
        return Risk(self.network, context.loss, variables)

    def num_examples(self, split: str) -> int:
        """How many examples of a split its Hessian is the mean over, n."""
        return self.settings.num_examples or len(self.splits[split])

    def curvature(self, risk: Risk, split: str, passes: Passes) -> Curvature:
        """Give the Hessian of the objective over the split, or over its subset."""
        examples = self.splits[split]
        size = self.num_examples(split)
        places = random_subset(self.settings.probe_seed, len(examples), size)
        return Curvature(risk, examples, places, self._decay(), passes)

    def method(self, name: str) -> str:
        """Name a method, with the size of the subset where it is not the whole split."""
        size = self.settings.num_examples
        return name if size is None else f"{name}_of_{size}_examples"

    def cost_gradients(self, split: str, num_products: int, num_gradients: float = 0) -> float:
        """Count the work in gradients over the whole split; batch norm's pass is the first one's."""
        num_split = len(self.splits[split])
        is_first = split == self.settings.splits[0]
        forward_only = self.num_batch_norm_examples / num_split / 3 if is_first else 0.0
        products = COST_OF_PRODUCT * num_products * self.num_examples(split) / num_split
        return products + num_gradients + forward_only

    def _decay(self) -> Array:
        decay = self.weight_decay if self.settings.objective == "total" else 0.0
        return decay * self.groups.is_decayed


def _refuse_large_subset(settings: HessianSpec | SpectrumSpec, sizes: dict[str, int]) -> None:
    asked = settings.num_examples
    faults = [
        Fault(
            f"num_examples {asked} is more than the {size} examples of the split {split!r}",
            where=f"measure, {settings.name}, num_examples",
            mend=f"give at most {size}, or leave it out for all of them",
        )
        for split, size in sizes.items()
        if asked is not None and asked > size
    ]
    if faults:
        raise UserError(faults)
