"""Spectral measures of a trial, as quadratures: integrals against them, with their errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mathematics.means import mean_of_units
from analysis.mathematics.uncertain import Uncertain
from analysis.records.load import SweepData
from workers.statistics.spectrum import SpectrumSpec

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Nodes λ and weights ω of independent draws: the mean of Σ ω f(λ) over draws is ∫ f dμ.

    Attributes:
        nodes: λ of all draws [n].
        weights: ω [n].
        draws: Which draw a node is of [n], from 0.
    """

    nodes: Array
    weights: Array
    draws: npt.NDArray[np.int64]

    @property
    def num_draws(self) -> int:
        """Independent draws."""
        return int(self.draws.max()) + 1

    def share(self, values: Array) -> Uncertain:
        """Estimate ∫ f dμ/∫ dμ from the values f(λ) at the nodes [n].

        Ratio of sums over draws, for the mass of a draw and its integral vary together; error of
        the jackknife with (number of draws - 1) degrees of freedom, unknown for a single draw. Its
        95 % intervals cover 95 % where many directions carry the mass, and 88-93 % where four do
        (simulated, 4 to 32 draws; the delta method covers less).
        """
        tops, masses = self._sums(values), self._sums(np.ones_like(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = tops.sum() / masses.sum()
            without = (tops.sum() - tops) / (masses.sum() - masses)
        num_draws = self.num_draws
        deviations = np.square(without - without.mean()).sum()
        stderr = math.sqrt((num_draws - 1) / num_draws * deviations) if num_draws > 1 else math.nan
        return Uncertain(float(ratio), stderr, num_draws - 1)

    def integral(self, values: Array) -> Uncertain:
        """Estimate ∫ f dμ as the mean over draws."""
        return mean_of_units(self._sums(values).tolist())

    def _sums(self, values: Array) -> Array:
        """Compute Σ ω f(λ) of each draw [number of draws]."""
        sums: Array = np.bincount(self.draws, self.weights * values).astype(np.float64)
        return sums


@dataclass(frozen=True)
class NoiseSpectrum:
    """The noise-weighted spectral measure μ_σ = Σ cᵢ δ(λᵢ), cᵢ = uᵢᵀσ²uᵢ, of one trial.

    Attributes:
        spectrum: As the draws have it.
        mass: tr σ² measured apart, which draws of noise vectors know badly; None when it was not.
    """

    spectrum: Spectrum
    mass: Uncertain | None

    @property
    def nodes(self) -> Array:
        """λ [n], of all draws."""
        return self.spectrum.nodes

    def integral(self, values: Array) -> Uncertain:
        """Estimate ∫ f dμ_σ = tr(σ² f(H)) from f at the nodes [n]: its share times tr σ²."""
        if self.mass is None:
            return self.spectrum.integral(values)
        return self.spectrum.share(values).times(self.mass)


@dataclass(frozen=True)
class CellSpectra:
    """Spectra of the total objective over the seeds of a cell.

    Attributes:
        statistic_id: Where they come from.
        noise: μ_σ without its mass, by seed.
        hessian: The density of states, by seed.
    """

    statistic_id: str
    noise: Mapping[int, Spectrum]
    hessian: Mapping[int, Spectrum]


def total_spectra(
    data: SweepData, rows: pd.DataFrame, *, weight_decay: float
) -> CellSpectra | None:
    """Collect the spectra of a cell's rows of `spectra`: total objective, training split, frozen.

    Of several statistics the first listed counts. Without weight decay the data objective is the
    total one.
    """
    for planned in data.plan.statistics:
        spec = planned.statistic
        if not isinstance(spec, SpectrumSpec) or spec.splits != ["train"]:
            continue
        if spec.bn_mode != "frozen" or (spec.objective == "data" and weight_decay):
            continue
        found = rows[rows["statistic_id"] == planned.statistic_id]
        if not found.empty:
            noise, hessian = (_by_seed(found, kind) for kind in ("noise", "hessian"))
            return CellSpectra(planned.statistic_id, noise, hessian)
    return None


def _by_seed(rows: pd.DataFrame, kind: str) -> dict[int, Spectrum]:
    rows = rows[rows["kind"] == kind]
    seeds: list[int] = rows["seed"].unique().tolist()
    return {seed: _spectrum(rows[rows["seed"] == seed]) for seed in seeds}


def _spectrum(rows: pd.DataFrame) -> Spectrum:
    draws = np.unique(rows["draw"].to_numpy(np.int64), return_inverse=True)[1]
    nodes, weights = (rows[column].to_numpy(np.float64) for column in ("node", "weight"))
    return Spectrum(nodes, weights, draws)
