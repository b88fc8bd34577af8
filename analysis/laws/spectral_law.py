"""Laws that are integrals against μ_σ: (½λ·V(λ) and λ²·V(λ), with V the variance a direction gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.evidence.noise_spectra import NoiseSpectrum
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import disagreement_faults
from analysis.mathematics.uncertain import Uncertain

Array = npt.NDArray[np.float64]
Energy = Callable[[Array, int], Array]
"""Computes λV(λ) [n] at λ [n] for a seed, V the variance along a direction whose noise c is 1."""

_MOMENTS = ("gradient_noise_trace", "hessian_noise_trace")
"""Of μ_σ, degrees 0 and 1: what another statistic states too."""

_MOST_GROWTH = math.log(1e6)
"""Of ln variance: a thousandfold way from the start. A choice; at a minimum there is no growth."""

NOT_MEASURED = "μ_σ of the total objective was not measured"
NOT_IN_THIS_MODE = (
    "μ_σ is measured with bn_mode frozen, and batch norm used each batch's statistics"
)


def spectral_predictions(
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
    σ² in H's eigenbasis enters. Nothing is predicted for a stationary state where ηλ ≥ 2(1+μ), nor
    after T steps in which the variance along a direction has grown more than a millionfold.
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
    left_out = runaway
    if not is_stationary:
        left_out = _exploded(conditions, spectra)
        spectrum_faults += _explosion(conditions, spectra, left_out)
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
    num_lost = len(stable) - min(map(len, by_target.values()))
    if num_lost:
        spectrum_faults.append(f"the law's value is no finite number in {num_lost} seeds")
    statistic_id = conditions.spectra.statistic_id if conditions.spectra and spectra else None
    return [
        Prediction(
            target,
            statistic_id=statistic_id,
            by_seed=by_target[target],
            faults=(*spectrum_faults, *faults, *disagreements),
            remarks=tuple(remarks),
        )
        for target in TARGETS
    ]


def _exploded(conditions: CellConditions, spectra: Mapping[int, NoiseSpectrum]) -> list[int]:
    """List the seeds of whose μ_σ a direction has grown beyond what any loss is quadratic over."""
    return [
        seed for seed, each in spectra.items() if _growth(conditions, each).max() > _MOST_GROWTH
    ]


def _explosion(
    conditions: CellConditions, spectra: Mapping[int, NoiseSpectrum], seeds: Sequence[int]
) -> list[str]:
    if not seeds:
        return []
    worst = max(seeds, key=lambda seed: _growth(conditions, spectra[seed]).max())
    growths = _growth(conditions, spectra[worst])
    steepest, orders = spectra[worst].nodes[growths.argmax()], growths.max() / math.log(10)
    return [
        f"the variance along λ = {steepest:.3g} grows 10^{orders:.0f}-fold in "
        f"{conditions.excursion.num_steps} steps, and no loss is quadratic so far: nothing is "
        f"predicted for {len(seeds)} of {len(spectra)} seeds"
    ]


def _growth(conditions: CellConditions, spectrum: NoiseSpectrum) -> Array:
    """Compute ln of how many times the variance grows over the excursion's steps, at the nodes [n]."""
    num_steps = conditions.excursion.num_steps or 0
    growth: Array = num_steps * conditions.sgd.growth_exponent(spectrum.nodes)
    return growth


def _is_unstable(conditions: CellConditions, spectrum: NoiseSpectrum) -> bool:
    return bool((conditions.sgd.step_fraction(spectrum.nodes) >= 1).any())


def _integrals(
    spectra: Mapping[int, NoiseSpectrum], values: dict[int, Array]
) -> dict[int, Uncertain]:
    found = {seed: spectra[seed].integral(each) for seed, each in values.items()}
    return {seed: each for seed, each in found.items() if math.isfinite(each.value)}
