"""The values of one whole-model quantity in every cell, seed by seed, from one statistic."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.mathematics.means import mean_of_units
from analysis.mathematics.soundness import is_sound
from analysis.mathematics.uncertain import Uncertain
from analysis.records.load import Cell, SweepData, groups_by_cell

BN_MODE = "frozen"
"""Cells and Table 1 use what was measured with recomputed population statistics."""

WINDOW_QUANTITIES = (
    "excess_loss",
    "harmonic_excess_loss",
    "expected_gradient_norm_squared",
    "batch_gradient_norm_squared",
)
"""Measured in windows of SGD steps; the index of a fork's window is its last step."""

EXCURSION_QUANTITIES = (
    *WINDOW_QUANTITIES,
    "velocity_norm_squared",
    "fluctuation_dissipation_ratio",
    "fluctuation_dissipation_gap",
    "direction_variance",
    "direction_noise",
)
"""Measured on the total objective alone, which is the one that SGD descends."""


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

    @property
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

    @property
    def uncertain(self) -> dict[int, Uncertain]:
        """The values with their errors, NaN where none was recorded."""
        return {
            seed: self.errors.get(seed, Uncertain(value, math.nan))
            for seed, value in self.by_seed.items()
        }


def seed_values(rows: pd.DataFrame) -> SeedValues:
    """Return the values in rows of `measurements`: finite, of one statistic, one row per seed.

    Degrees of freedom are num_samples - 1; an error of 0 is that of an exact value.
    """
    rows = rows.sort_values("seed")
    seeds: list[int] = rows["seed"].astype(int).tolist()
    columns = (rows[name].to_numpy(np.float64) for name in ("value", "stderr", "num_samples"))
    errors = {
        seed: Uncertain(value, stderr, math.inf if stderr == 0 else num_samples - 1)
        for seed, value, stderr, num_samples in zip(
            seeds, *map(np.ndarray.tolist, columns), strict=True
        )
    }
    by_seed = {seed: each.value for seed, each in errors.items()}
    first = rows.iloc[0]
    return SeedValues(str(first["statistic_id"]), str(first["statistic"]), by_seed, errors)


def whole_model_values(
    data: SweepData, quantity: str, *, objective: str = "data", split: str = "train"
) -> dict[Cell, SeedValues]:
    """Collect a whole-model quantity, measured with frozen batch normalisation, by cell and seed.

    If several statistics measure it in a cell, the first listed under `measure` counts. Of a
    quantity with an index the first value counts (eigenvalues), unless there is one of the whole
    (halves of a run); of windows of steps the longest counts.
    """
    rows = _of(data.measurements, quantity, objective=objective, split=split)
    rows = rows[rows["layer"].isna()]
    values: dict[Cell, SeedValues] = {}
    for cell, group in groups_by_cell(rows):
        chosen = group[group["statistic_id"] == _first_listed(data, group)]
        values[cell] = seed_values(_of_one_index(chosen, quantity))
    return values


def _of_one_index(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    index = rows["index"]
    if index.isna().any():
        return rows[index.isna()]
    return rows[index == (index.max() if quantity in WINDOW_QUANTITIES else 0)]


def layer_means(data: SweepData, quantity: str) -> dict[Cell, dict[str, float]]:
    """Average a quantity of every layer over seeds, layers in the order they were measured."""
    rows = _of(data.measurements, quantity, objective="data", split="train")
    rows = rows[rows["layer"].notna()]
    means: dict[Cell, dict[str, float]] = {}
    for cell, group in groups_by_cell(rows):
        chosen = group[group["statistic_id"] == _first_listed(data, group)]
        by_layer = chosen.groupby("layer", sort=False)["value"].mean()
        means[cell] = {str(layer): float(value) for layer, value in by_layer.items()}
    return means


def _of(rows: pd.DataFrame, quantity: str, *, objective: str, split: str) -> pd.DataFrame:
    return rows[
        (rows["quantity"] == quantity)
        & (rows["bn_mode"] == BN_MODE)
        & (rows["split"] == split)
        & (rows["objective"] == objective)
        & is_sound(rows["value"])
    ]


def _first_listed(data: SweepData, rows: pd.DataFrame) -> str:
    listed = [statistic.statistic_id for statistic in data.plan.statistics]
    return str(min(rows["statistic_id"].unique(), key=listed.index))
