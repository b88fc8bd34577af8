"""Whether gradient noise and curvature agree layer by layer, as they would if σ² = H."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evidence.covariance import cosine
from analysis.mathematics.interval import Interval
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.regression import fit, is_independent
from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.load import SweepData
from workers.statistics.traces import TracesSpec

Array = npt.NDArray[np.float64]

_QUANTITIES = ["gradient_noise_trace", "hessian_trace"]
_LEAST_LAYERS = 3


@dataclass(frozen=True)
class CellLayers:
    """The layers of one cell's trials; intervals over seeds.

    Attributes:
        cell: Loss, m and initial η.
        bn_mode: Of the traces.
        num_layers: With both traces above 0, in the trial with the fewest.
        num_seeds: Trials.
        slope: γ of tr σ²_l ∝ (tr H_l)^γ over layers l; 1 if σ² = H.
        cosine: Of the layers' tr σ² and tr H; 1 if σ² ∝ H.
    """

    cell: Cell
    bn_mode: str
    num_layers: int
    num_seeds: int
    slope: Interval
    cosine: Interval


def layer_agreement(data: SweepData) -> list[CellLayers]:
    """Compare both traces over the layers of every trial: data objective, training split.

    A trial gives one slope and one cosine, so that seeds are the units of the intervals.
    """
    found = []
    for planned in data.plan.statistics:
        if not isinstance(planned.statistic, TracesSpec):
            continue
        rows = data.measurements
        is_meant = (
            (rows["statistic_id"] == planned.statistic_id)
            & rows["layer"].notna()
            & (rows["split"] == "train")
            & (rows["objective"] == "data")
            & rows["quantity"].isin(_QUANTITIES)
        )
        rows = rows.loc[is_meant, [*CELL_COLUMNS, "trial_id", "layer", "quantity", "value"]]
        for cell, trials in _by_cell(rows).items():
            found.append(_of_cell(cell, planned.statistic.bn_mode, trials))
    return found


def _by_cell(rows: pd.DataFrame) -> dict[Cell, list[Array]]:
    """Collect, trial by trial, (tr σ²_l, tr H_l) [L, 2] of the layers where both are above 0.

    Trials with fewer than three such layers are left out.
    """
    trial = [*CELL_COLUMNS, "trial_id"]
    table = rows.pivot_table(
        index=[*trial, "layer"], columns="quantity", values="value", observed=True
    )
    pairs = table.reindex(columns=_QUANTITIES).to_numpy(np.float64)
    is_known = np.all(np.isfinite(pairs) & (pairs > 0), axis=1)
    names, pairs = table.index.to_frame(index=False)[is_known], pairs[is_known]
    number = names.groupby(trial, sort=False, observed=True).ngroup().to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    found: dict[Cell, list[Array]] = {}
    for cell, layers in zip(cells_of(names.iloc[starts]), np.split(pairs, starts)[1:], strict=True):
        if len(layers) >= _LEAST_LAYERS:
            found.setdefault(cell, []).append(layers)
    return found


def _of_cell(cell: Cell, bn_mode: str, trials: list[Array]) -> CellLayers:
    slopes = [_slope(pairs) for pairs in trials]
    return CellLayers(
        cell,
        bn_mode,
        num_layers=min(map(len, trials)),
        num_seeds=len(trials),
        slope=mean_of_units(slopes).interval(),
        cosine=mean_of_units([cosine(*pairs.T) for pairs in trials]).interval(),
    )


def _slope(pairs: Array) -> float:
    noise, curvature = np.log(pairs).T
    if not is_independent(curvature[:, None]):
        return math.nan
    return float(fit(curvature[:, None], noise).coefficients[0])
