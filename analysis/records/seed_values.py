"""One quantity of one cell, seed by seed, from one statistic."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain


@dataclass(frozen=True)
class SeedValues:
    """One quantity of one cell.

    Attributes:
        statistic_id: The statistic all values come from.
        statistic: Its name.
        by_seed: Finite values by seed.
        errors: The same with the error of the estimator, where it was recorded.
    """

    statistic_id: str
    statistic: str
    by_seed: Mapping[int, float]
    errors: Mapping[int, Uncertain] = field(default_factory=dict)

    @cached_property
    def estimate(self) -> Uncertain:
        """The mean over seeds."""
        return mean_of_units(list(self.by_seed.values()))

    def of(self, seeds: Collection[int]) -> SeedValues:
        """Return the values of the given seeds alone."""
        return replace(self, by_seed={s: v for s, v in self.by_seed.items() if s in seeds})

    @property
    def stderr(self) -> float:
        """The mean's standard error from the spread over seeds; of one seed the estimator's."""
        if len(self.by_seed) == 1:
            (only,) = self.uncertain.values()
            return only.stderr
        return self.estimate.stderr

    @cached_property
    def uncertain(self) -> dict[int, Uncertain]:
        """The values with their errors, NaN where none was recorded."""
        return {
            seed: self.errors.get(seed, Uncertain(value, math.nan))
            for seed, value in self.by_seed.items()
        }
