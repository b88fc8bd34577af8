"""SGD some steps after it left one point, with the noise measured along the way."""

from __future__ import annotations

from dataclasses import replace

from analysis.evidence.assumptions import ADDITIVITY, DISCRETE_STEP, HARMONICITY
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.laws.law import Law
from analysis.laws.palette import WINE
from analysis.laws.prediction import Prediction
from analysis.laws.reasons import broken, independence_faults, stability_faults
from analysis.laws.spectral_law import Array, spectral_predictions
from analysis.mathematics import linear_dynamics
from analysis.mathematics.uncertain import Uncertain
from analysis.records.seed_values import SeedValues

_NOISE = "gradient_noise_trace"


def predict(conditions: CellConditions) -> list[Prediction]:
    """Predict as `finite_time`, with c_i(s) = c_i · tr σ²(s)/tr σ² at the step s of the streams.

    E[L] - L* = ½ Σ_i λ_i Σ_{s<t} (1-ηλ_i)^{2(t-1-s)} η² c_i(s)/m. tr σ²(s) is what the fork itself
    measured, constant between the ends of its windows (the first begins at step 0): its mean over just
    these steps, each counted once, also where the law counts late ones for more. So this law is no
    prediction from the kept weights alone: it tells how much of what `finite_time` misses is that the
    noise changed, in size and alike in all directions. Nothing is said of tails, of shuffled streams, or
    where that noise or μ_σ was not measured.

    The predicted error has that of the noise in it, as if it were independent of what was measured.

    Assumptions: those of `finite_time`, but for the size of σ².
    Source: the geometric sum of `finite_time`, composed over stages of constant noise.
    """
    steps, sgd = conditions.excursion.steps, conditions.sgd
    ratios = _noise_along_the_way(conditions)
    if steps is None or conditions.is_shuffled or not ratios:
        return []

    def energy(nodes: Array, seed: int) -> Array:
        stages = [(end, noise.value) for end, noise in ratios[seed]]
        return nodes * linear_dynamics.independent_variance(nodes, sgd, steps, stages)

    noise = {seed: each for seed, each in conditions.noise_spectra.items() if seed in ratios}
    found = spectral_predictions(
        conditions,
        energy,
        noise=noise,
        faults=(
            *stability_faults(conditions),
            *independence_faults(conditions),
            *broken(conditions, (HARMONICITY, ADDITIVITY, DISCRETE_STEP)),
        ),
        is_stationary=False,
    )
    return [_with_error(each, ratios) for each in found]


def _noise_along_the_way(conditions: CellConditions) -> dict[int, list[tuple[int, Uncertain]]]:
    """Return, by seed, where the windows end and tr σ² in each over that at the kept weights."""
    start = conditions.inputs.get(_NOISE)
    indexed = conditions.excursion.indexed
    ends = sorted(index for quantity, index in indexed if quantity == _NOISE)
    if start is None:
        return {}
    return {
        seed: [(end, indexed[_NOISE, end].uncertain[seed].over(kept)) for end in ends]
        for seed, kept in start.uncertain.items()
        if ends and kept.value and all(_is_measured(indexed[_NOISE, end], seed) for end in ends)
    }


def _is_measured(noise: SeedValues, seed: int) -> bool:
    """Whether a seed's noise was measured and is some."""
    return noise.by_seed.get(seed, 0.0) > 0


def _with_error(found: Prediction, ratios: dict[int, list[tuple[int, Uncertain]]]) -> Prediction:
    """Add the relative error of the last window's noise, the largest of all but in rare cases."""
    by_seed = {}
    for seed, predicted in found.by_seed.items():
        noise = ratios[seed][-1][1]
        by_seed[seed] = predicted.times(Uncertain(1.0, noise.stderr / noise.value, noise.degrees))
    return replace(found, by_seed=by_seed)


LAW = Law(
    name="finite_time_drift",
    title="Finite time, drifting noise",
    place=60,
    predict=predict,
    targets=tuple(TARGETS),
    windows="every",
    sampler="replacement",
    color=WINE,
    marker=">",
)
