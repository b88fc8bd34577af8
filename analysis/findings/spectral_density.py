"""Density of states and noise-weighted spectrum of a cell, as smooth curves over λ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.records.cell import Cell, groups_by_cell
from analysis.records.load import SweepData

Array = npt.NDArray[np.float64]

NUM_POINTS = 400
WIDTH_SHARE = 1 / 100
"""Standard deviation of the broadening as a share of the range of nodes, a choice for the eye."""


@dataclass(frozen=True)
class SpectralDensity:
    """Broadened spectra of one cell, each of mass 1.

    Attributes:
        cell: The cell.
        eigenvalues: λ [n] at which they are given.
        by_kind: Density over λ [n] of `hessian`, the share of directions, and of `noise`, the share of tr σ².
        width: Standard deviation of the Gaussian put on each node, in the unit of λ.
        num_seeds: Seeds averaged over.
    """

    cell: Cell
    eigenvalues: Array
    by_kind: Mapping[str, Array]
    width: float
    num_seeds: int


def spectral_densities(data: SweepData) -> list[SpectralDensity]:
    """Broaden the spectra of every cell, those of the statistic listed first that has any."""
    rows = data.spectra
    listed = [item.statistic_id for item in data.plan.statistics]
    present = [name for name in listed if (rows["statistic_id"] == name).any()]
    if not present:
        return []
    return [_of_cell(cell, group) for cell, group in groups_by_cell(rows[rows["statistic_id"] == present[0]])]  # fmt: skip


def broadened(nodes: Array, weights: Array, eigenvalues: Array, width: float) -> Array:
    """Compute Σ ωᵢ N(λ; λᵢ, s²)/Σ ωᵢ at `eigenvalues` [n], which has mass 1.

    Source: Ghorbani, Krishnan and Xiao 2019, 1901.10159, Eq 4.
    """
    distances = (eigenvalues[:, None] - nodes[None, :]) / width
    kernels = np.exp(-0.5 * distances**2) / (width * math.sqrt(2 * math.pi))
    density: Array = kernels @ weights / weights.sum()
    return density


def _of_cell(cell: Cell, rows: pd.DataFrame) -> SpectralDensity:
    nodes = rows["node"].to_numpy(np.float64)
    low, high = float(nodes.min()), float(nodes.max())
    width = (high - low or abs(high) or 1.0) * WIDTH_SHARE
    eigenvalues = np.linspace(low - 4 * width, high + 4 * width, NUM_POINTS)
    by_kind = {
        str(kind): broadened(
            group["node"].to_numpy(np.float64),
            group["weight"].to_numpy(np.float64),
            eigenvalues,
            width,
        )
        for kind, group in rows.groupby("kind")
        if group["weight"].sum() > 0
    }
    return SpectralDensity(cell, eigenvalues, by_kind, width, int(rows["seed"].nunique()))
