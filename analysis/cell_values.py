"""The values of one whole-model quantity in every cell, seed by seed, from one statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.estimate import Estimate, mean_over_seeds
from analysis.load import Cell, SweepData, groups_by_cell

BN_MODE = "frozen"
"""Cells, Table 1 and predictions compare what was measured with recomputed population statistics."""


@dataclass(frozen=True)
class SeedValues:
    """One quantity of one cell.

    Attributes:
        statistic_id: The statistic all values come from.
        statistic: Its name.
        by_seed: Finite values by seed.
    """

    statistic_id: str
    statistic: str
    by_seed: Mapping[int, float]

    @property
    def estimate(self) -> Estimate:
        """The mean over seeds."""
        return mean_over_seeds(list(self.by_seed.values()))


def whole_model_values(
    data: SweepData, quantity: str, *, objective: str = "data", split: str = "train"
) -> dict[Cell, SeedValues]:
    """Collect a whole-model quantity, measured with frozen batch normalisation, by cell and seed.

    Of several statistics that give it in a cell, the first listed under `measure` counts. Of a
    quantity with an index (eigenvalues) the first counts.
    """
    rows = _of(data.measurements, quantity, objective=objective, split=split)
    rows = rows[rows["layer"].isna() & (rows["index"].isna() | (rows["index"] == 0))]
    values: dict[Cell, SeedValues] = {}
    for cell, group in groups_by_cell(rows):
        first = _first_listed(data, group)
        chosen = group[group["statistic_id"] == first].sort_values("seed")
        by_seed = dict(zip(chosen["seed"].tolist(), chosen["value"].tolist(), strict=True))
        values[cell] = SeedValues(first, str(chosen["statistic"].iloc[0]), by_seed)
    return values


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
        & np.isfinite(rows["value"].astype(float))
    ]


def _first_listed(data: SweepData, rows: pd.DataFrame) -> str:
    listed = [statistic.statistic_id for statistic in data.plan.statistics]
    return str(min(rows["statistic_id"].unique(), key=listed.index))
