"""The examples over which a Hessian is averaged: a whole split, or a random subset of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.contract.errors import UserError
from workers.contract.method_text import method_of_subset
from workers.numerics.estimators import random_subset
from workers.statistics.measuring.context import MeasurementContext

if TYPE_CHECKING:
    from workers.statistics.hessian import HessianSpec
    from workers.statistics.spectrum import SpectrumSpec

COST_OF_PRODUCT = 3.0
"""The cost of a Hessian-vector product, in gradients over the same examples; counted, not timed."""


@dataclass(frozen=True)
class Subset:
    """The requested examples of each split.

    Attributes:
        split_sizes: Number of examples of each split, by name.
        size: Number of examples of the subset; None for all.
        seed: Seed of its choice.
    """

    split_sizes: Mapping[str, int]
    size: int | None
    seed: int

    @classmethod
    def of(cls, context: MeasurementContext, settings: HessianSpec | SpectrumSpec) -> Subset:
        """Return the subset that the settings ask for.

        Raises:
            UserError: It is larger than a split; all such splits at once.
        """
        sizes: dict[str, int] = {name: len(context.split(name)) for name in settings.splits}
        faults = [
            replace(fault, where=f"measure, {settings.name}, {fault.where}")
            for fault in settings.data_faults(sizes, context.trial.batch_size)
        ]
        if faults:
            raise UserError(faults)
        return cls(sizes, settings.num_examples, context.seed(settings.probe_seed))

    def num_examples(self, split: str) -> int:
        """Return the number of requested examples of a split, n."""
        return self.size or self.split_sizes[split]

    def places(self, split: str) -> npt.NDArray[np.int64]:
        """Return the indices [n] of the requested examples of a split, sorted."""
        return random_subset(self.seed, self.split_sizes[split], self.num_examples(split))

    def method(self, name: str) -> str:
        """Return a method's name, with the size of the subset where it is not the whole split."""
        return name if self.size is None else method_of_subset(name, self.size)

    def cost_gradients(self, split: str, num_products: int) -> float:
        """Return the cost of products over the subset, in gradients over the whole split."""
        share = self.num_examples(split) / self.split_sizes[split]
        return COST_OF_PRODUCT * num_products * share
