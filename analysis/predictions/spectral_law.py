"""Laws that are integrals against μ_σ: (½λ·V(λ) and λ²·V(λ), with V the variance a direction gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analysis.conditions import CellConditions
from analysis.excursions import TARGETS
from analysis.noise_spectra import NoiseSpectrum
from analysis.predictions.law import Prediction, disagreement_faults
from analysis.uncertain import Uncertain

Array = npt.NDArray[np.float64]
Energy = Callable[[Array, int], Array]
"""Gives λV(λ) [n] at λ [n] for a seed, V the variance along a direction whose noise c is 1."""

_MOMENTS = ("gradient_noise_trace", "hessian_noise_trace")
"""Of μ_σ, degrees 0 and 1: what another statistic states too."""

NOT_MEASURED = "μ_σ of the total objective was not measured"
NOT_IN_THIS_MODE = (
    "μ_σ is measured with bn_mode frozen, and batch norm used each batch's statistics"
)


def spectral_predictions(
    name: str,
    conditions: CellConditions,
    energy: Energy,
    *,
    noise: Mapping[int, NoiseSpectrum] | None = None,
    faults: Sequence[str],
    remarks: Sequence[str] = (),
    is_stationary: bool,
) -> list[Prediction]:
    """Predict E[L] - L* = ½∫ λV dμ_σ and E‖∇L‖² = ∫ λ²V dμ_σ.

    H is constant and σ² too, both of the total objective at the kept weights; only the diagonal of
    σ² in H's eigenbasis enters. Nothing is predicted for a stationary state where ηλ ≥ 2(1+μ).
    `noise` is μ_σ by seed where not that of all seeds is wanted.
    """
    spectra = conditions.noise_spectra if noise is None else noise
    spectrum_faults = []
    if not spectra:
        is_batch = conditions.excursion.bn_mode == "batch"
        spectrum_faults.append(NOT_IN_THIS_MODE if is_batch else NOT_MEASURED)
    runaway = [seed for seed, each in spectra.items() if _is_unstable(conditions, each)]
    if runaway:
        steepest = max(float(spectra[seed].nodes.max()) for seed in runaway)
        spectrum_faults.append(f"ηλ ≥ 2(1+μ) at λ = {steepest:.3g}: SGD runs away there")
    left_out = runaway if is_stationary else []
    stable = {seed: each for seed, each in spectra.items() if seed not in left_out}
    with np.errstate(over="ignore", invalid="ignore"):
        energies = {seed: energy(each.nodes, seed) for seed, each in stable.items()}
        by_target = {
            "excess_loss": _integrals(stable, {s: each / 2 for s, each in energies.items()}),
            "expected_gradient_norm_squared": _integrals(
                stable, {s: stable[s].nodes * each for s, each in energies.items()}
            ),
        }
    disagreements = disagreement_faults(conditions, *_MOMENTS)
    statistic_id = conditions.spectra.statistic_id if conditions.spectra and spectra else None
    return [
        Prediction(
            name,
            target,
            statistic_id=statistic_id,
            by_seed=by_target[target],
            faults=(*spectrum_faults, *faults, *disagreements),
            remarks=tuple(remarks),
        )
        for target in TARGETS
    ]


def _is_unstable(conditions: CellConditions, spectrum: NoiseSpectrum) -> bool:
    return bool((conditions.sgd.step_fraction(spectrum.nodes) >= 1).any())


def _integrals(
    spectra: Mapping[int, NoiseSpectrum], values: dict[int, Array]
) -> dict[int, Uncertain]:
    found = {seed: spectra[seed].integral(each) for seed, each in values.items()}
    return {seed: each for seed, each in found.items() if math.isfinite(each.value)}
