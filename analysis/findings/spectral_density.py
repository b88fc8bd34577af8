"""Density of states and noise-weighted spectrum of a cell: smooth curves over λ, and what lies above their middle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evidence.noise_spectra import Spectrum
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, groups_by_cell
from analysis.records.load import SweepData

Array = npt.NDArray[np.float64]

NUM_POINTS = 400
WIDTH_SHARE = 1 / 100
"""Standard deviation of the broadening as a share of the range of nodes, a choice for the eye."""

ROUNDING = 1e-9
"""By which a sum of weights may fall short of the half that it is."""

MEDIAN_COLUMNS = (
    "noise_median_eigenvalue",
    "noise_share",
    "direction_share",
    "hessian_trace_share",
)
"""The parts of a `NoiseMedian` in files of numbers."""


@dataclass(frozen=True)
class NoiseMedian:
    """The λ that halves the gradient noise, and what lies at it or above.

    Shares have the error over draws and seeds, at this λ.

    Attributes:
        eigenvalue: The highest λ at or above which lies half of tr σ².
        noise: Share of tr σ²; above a half where one node carries much of it.
        directions: Share of all directions; NaN where the spectrum of H was not measured.
        curvature: Share of tr H, above 1 where negative curvature takes from it; NaN where tr H is not above 0.
    """

    eigenvalue: float
    noise: Uncertain
    directions: Uncertain
    curvature: Uncertain


@dataclass(frozen=True)
class SpectralDensity:
    """Broadened spectra of one cell, each of mass 1.

    Attributes:
        cell: The cell.
        eigenvalues: λ [n] at which they are given.
        by_kind: Density over λ [n] of `hessian`, the share of directions, and of `noise`, the share of tr σ².
        width: Standard deviation of the Gaussian put on each node, in the unit of λ.
        num_seeds: Seeds averaged over.
        median: Of the noise; None where its spectrum was not measured.
    """

    cell: Cell
    eigenvalues: Array
    by_kind: Mapping[str, Array]
    width: float
    num_seeds: int
    median: NoiseMedian | None = None


def spectral_densities(data: SweepData) -> list[SpectralDensity]:
    """Broaden the spectra of every cell, those of the statistic listed first that has any."""
    rows = data.spectra
    listed = [item.statistic_id for item in data.plan.statistics]
    present = [name for name in listed if (rows["statistic_id"] == name).any()]
    if not present:
        return []
    return [_of_cell(cell, group) for cell, group in groups_by_cell(rows[rows["statistic_id"] == present[0]])]  # fmt: skip


def noise_median(noise: Spectrum, hessian: Spectrum | None) -> NoiseMedian:
    """Cut both spectra at the noise-weighted median: Σ ω f(λ) over nodes, no broadening."""
    descending = np.argsort(-noise.nodes, kind="stable")
    reached = np.cumsum(noise.weights[descending])
    half = reached[-1] / 2 * (1 - ROUNDING)
    cut = float(noise.nodes[descending[np.searchsorted(reached, half)]])
    unknown = Uncertain(math.nan)
    directions = curvature = unknown
    if hessian is not None:
        is_above = (hessian.nodes >= cut).astype(np.float64)
        directions = hessian.share(is_above)
        by_curvature = Spectrum(hessian.nodes, hessian.weights * hessian.nodes, hessian.draws)
        if by_curvature.weights.sum() > 0:
            curvature = by_curvature.share(is_above)
    is_noisy = (noise.nodes >= cut).astype(np.float64)
    return NoiseMedian(cut, noise.share(is_noisy), directions, curvature)


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
    spectra = {
        str(kind): _spectrum(group)
        for kind, group in rows.groupby("kind", observed=True)
        if group["weight"].sum() > 0
    }
    by_kind = {
        kind: broadened(each.nodes, each.weights, eigenvalues, width)
        for kind, each in spectra.items()
    }
    noise = spectra.get("noise")
    median = None if noise is None else noise_median(noise, spectra.get("hessian"))
    return SpectralDensity(cell, eigenvalues, by_kind, width, int(rows["seed"].nunique()), median)


def _spectrum(rows: pd.DataFrame) -> Spectrum:
    """Collect the nodes of all seeds; each draw of a seed is one of its own."""
    draws = rows.groupby(["seed", "draw"], observed=True).ngroup().to_numpy().astype(np.int64)
    nodes, weights = (rows[column].to_numpy(np.float64) for column in ("node", "weight"))
    return Spectrum(nodes, weights, draws)
