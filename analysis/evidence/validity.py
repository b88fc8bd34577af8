"""View `validity`: whether what the laws assume holds in each trial, excursion by excursion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.evidence import assumptions
from analysis.evidence.assumptions import Assumption, AssumptionCheck, check
from analysis.evidence.conditions import CellConditions
from analysis.evidence.noise_spectra import NoiseSpectrum, Spectrum
from analysis.mathematics.interval import Interval
from analysis.mathematics.linear_dynamics import SGD
from analysis.mathematics.uncertain import Uncertain
from analysis.records.once import once
from analysis.records.seed_values import SeedValues
from workers.contract.schema import VIEWS
from workers.contract.student import CONFIDENCE

_ROUNDING = 1e-6
"""Eigenvalues within this of 0, relative to the largest, have no sign in single precision."""


def validity(sweep: str, all_conditions: Sequence[CellConditions]) -> pa.Table:
    """Test every trial, of a fork in its longest window; a test without its numbers has no row."""
    rows = [
        _row(sweep, conditions, seed, found)
        for conditions in all_conditions
        if conditions.excursion.is_longest
        for seed in conditions.trial_ids
        for found in checks(conditions, seed)
    ]
    return pa.Table.from_pylist(rows, schema=VIEWS["validity"])


def checks(conditions: CellConditions, seed: int) -> list[AssumptionCheck]:
    """Run every test whose numbers there are on one trial's excursion."""
    return _all_checks(conditions)[seed]


@once
def _all_checks(conditions: CellConditions) -> dict[int, list[AssumptionCheck]]:
    """Run the tests by seed; every law asks for the same ones."""
    groups = (_of_excursion, _of_steps, _of_spectra, _of_noise)
    return {
        seed: [each for group in groups for each in group(conditions, seed) if each is not None]
        for seed in conditions.trial_ids
    }


def _of_excursion(conditions: CellConditions, seed: int) -> Iterator[AssumptionCheck | None]:
    """Stationarity of a tail, harmonicity, and noise against gradient along the way."""
    excursion = conditions.excursion
    values = excursion.values
    gap = _at(values.get("fluctuation_dissipation_gap"), seed)
    if gap is not None:
        halves = [excursion.indexed.get(("fluctuation_dissipation_gap", half)) for half in (0, 1)]
        yield _stationarity(gap, [_at(half, seed) for half in halves])
    ratio = _at(values.get("fluctuation_dissipation_ratio"), seed)
    if ratio is not None:
        yield check(assumptions.DISSIPATION_RATIO, ratio)
    excess, harmonic = (
        _at(values.get(name), seed) for name in ("excess_loss", "harmonic_excess_loss")
    )
    if excess is not None and harmonic is not None and harmonic.value:
        # Their errors are those of the same weights and cancel: the value alone decides.
        yield check(assumptions.HARMONICITY, _without_error(excess.value / harmonic.value))
    noise = _at(values.get("gradient_noise_trace"), seed)
    gradient = _at(values.get(_full_gradient(conditions)), seed)
    if noise is not None and gradient is not None and gradient.value:
        per_batch = noise.value / conditions.cell.batch_size
        yield check(assumptions.NOISE_TO_GRADIENT, _without_error(per_batch / gradient.value))


def _full_gradient(conditions: CellConditions) -> str:
    """Return the name of E‖∇L‖² about 0: that about a fork's mean iterate leaves out what all streams drift alike."""
    is_stationary = conditions.excursion.steps is None
    return "expected_gradient_norm_squared" if is_stationary else "gradient_norm_squared"


def _stationarity(whole: Uncertain, halves: Sequence[Uncertain | None]) -> AssumptionCheck:
    """Pass when the interval of the run holds 0, and that of each half does: jointly at 95 % (Bonferroni).

    Halves whose signs agree are no further test: in a stationary run they do half of the time.
    """
    gaps = [whole, *(half for half in halves if half is not None)]
    intervals = [each.interval(1 - (1 - CONFIDENCE) / len(gaps)) for each in gaps]
    holds = [_holds_zero(each) for each in intervals]
    passes = None if None in holds else all(holds)
    return AssumptionCheck(assumptions.STATIONARITY, intervals[0], passes)


def _holds_zero(interval: Interval) -> bool | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low <= 0 <= interval.high


def _of_steps(conditions: CellConditions, seed: int) -> Iterator[AssumptionCheck | None]:
    """How large ηλ₁ is; λ₁ may be off by its residual norm, Ritz values never exceed it."""
    largest = _at(conditions.inputs.get("hessian_top_eigenvalue"), seed)
    if largest is None:
        return
    residual = _at(conditions.inputs.get("hessian_residual_norm"), seed)
    most = largest.value + (0.0 if residual is None else residual.value)
    ends = np.array([largest.value, most])
    low, high = (float(each) for each in conditions.sgd.step_fraction(ends))
    for test in (assumptions.CONTINUOUS_STEP, assumptions.DISCRETE_STEP):
        found = Interval(low, low, high)
        yield AssumptionCheck(test, found, test.passes(found))


def _of_spectra(conditions: CellConditions, seed: int) -> Iterator[AssumptionCheck | None]:
    if conditions.spectra is None:
        return
    noise, sgd = conditions.noise_spectra.get(seed), conditions.sgd
    if noise is not None:
        yield _share(assumptions.NO_NOISE_UPHILL, noise.spectrum, _is_negative(noise.nodes))
        num_steps, num_train = conditions.excursion.num_steps, conditions.state.num_train
        if num_steps is not None:
            share = unequilibrated_share(noise, sgd, num_steps)
            yield check(assumptions.EQUILIBRATION, share)
        if conditions.is_shuffled and num_train is not None:
            slow = _forgetting(noise, sgd, num_train // sgd.batch_size) < 3
            yield _share(assumptions.SHUFFLING, noise.spectrum, slow)
    hessian = conditions.spectra.hessian.get(seed)
    if hessian is not None:
        yield _share(assumptions.NO_SADDLE, hessian, _is_negative(hessian.nodes))


def unequilibrated_share(noise: NoiseSpectrum, sgd: SGD, num_steps: int) -> Uncertain:
    """Estimate the share of tr σ² where ηλT/(1-μ) < 1: what T steps have not yet brought to rest."""
    slow = _forgetting(noise, sgd, num_steps) < 1
    return noise.spectrum.share(slow.astype(np.float64))


def _forgetting(noise: NoiseSpectrum, sgd: SGD, num_steps: int) -> npt.NDArray[np.float64]:
    """Compute ηλT/(1-μ) at the nodes [n]: T in units of a direction's own time."""
    times: npt.NDArray[np.float64] = (
        sgd.learning_rate * noise.nodes * num_steps / (1 - sgd.momentum)
    )
    return times


def _of_noise(conditions: CellConditions, seed: int) -> Iterator[AssumptionCheck | None]:
    """σ² against H and against itself along the way, and whether batch norm lets a batch's loss be a mean over its examples."""
    noise, hessian = (
        _at(conditions.inputs.get(name), seed) for name in ("gradient_noise_trace", "hessian_trace")
    )
    if noise is not None and hessian is not None and hessian.value:
        yield check(assumptions.NOISE_IS_CURVATURE, noise.over(hessian))
    there = _at(conditions.excursion.values.get("gradient_noise_trace"), seed)
    if noise is not None and there is not None and noise.value:
        yield check(assumptions.CONSTANT_NOISE, there.over(noise))
    by_size = conditions.additivity or {}
    sizes = sorted(by_size)
    if len(sizes) > 1:
        least, most = _at(by_size[sizes[0]], seed), _at(by_size[sizes[-1]], seed)
        if least is not None and most is not None and least.value:
            yield check(assumptions.ADDITIVITY, most.over(least))


def _is_negative(nodes: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    negative: npt.NDArray[np.bool_] = nodes < -_ROUNDING * np.abs(nodes).max()
    return negative


def _share(
    test: Assumption, spectrum: Spectrum, chosen: npt.NDArray[np.bool_]
) -> AssumptionCheck | None:
    return check(test, spectrum.share(chosen.astype(np.float64)))


def _at(values: SeedValues | None, seed: int) -> Uncertain | None:
    return None if values is None else values.uncertain.get(seed)


def _without_error(value: float) -> Uncertain:
    return Uncertain(value, math.nan, 0)


def _row(
    sweep: str, conditions: CellConditions, seed: int, found: AssumptionCheck
) -> dict[str, object]:
    return {
        "sweep": sweep,
        "trial_id": conditions.trial_ids[seed],
        "loss": conditions.cell.loss,
        "batch_size": conditions.cell.batch_size,
        "learning_rate": conditions.cell.learning_rate,
        "seed": seed,
        "learning_rate_used": conditions.excursion.learning_rate,
        "bn_mode": conditions.excursion.bn_mode,
        "sampler": conditions.excursion.sampler,
        "statistic_id": conditions.excursion.statistic_id,
        "test": found.test.name,
        "value": found.interval.value,
        "low": found.interval.low,
        "high": found.interval.high,
        "passes": found.passes,
        "meaning": found.test.meaning,
    }
