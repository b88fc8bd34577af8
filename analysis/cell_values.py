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
    rows = _select(data.measurements, quantity, objective, split)
    listed = [statistic.statistic_id for statistic in data.plan.statistics]
    values: dict[Cell, SeedValues] = {}
    for cell, group in groups_by_cell(rows):
        first = min(group["statistic_id"].unique(), key=listed.index)
        chosen = group[group["statistic_id"] == first].sort_values("seed")
        by_seed = dict(zip(chosen["seed"].tolist(), chosen["value"].tolist(), strict=True))
        values[cell] = SeedValues(str(first), str(chosen["statistic"].iloc[0]), by_seed)
    return values


def _select(rows: pd.DataFrame, quantity: str, objective: str, split: str) -> pd.DataFrame:
    return rows[
        (rows["quantity"] == quantity)
        & rows["layer"].isna()
        & (rows["index"].isna() | (rows["index"] == 0))
        & (rows["bn_mode"] == BN_MODE)
        & (rows["split"] == split)
        & (rows["objective"] == objective)
        & np.isfinite(rows["value"].astype(float))
    ]
