"""Why a law may not hold in an excursion: what laws assume, and what numbers say against it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from analysis.evidence import assumptions
from analysis.evidence.assumptions import Assumption
from analysis.evidence.conditions import CellConditions
from analysis.evidence.validity import checks, unequilibrated_share
from analysis.mathematics.means import mean_of_units
from workers.contract.quantities import GLOSSARY
from workers.contract.registry import LOSSES

NO_STATIONARY_STATE = "without weight decay the loss has no stationary state: ‖θ‖ grows for ever"
UNSTABLE = "seeds diverged: SGD is not stable at this learning rate"
SHUFFLED = (
    "epochs are shuffled: the noise of their batches is anti-correlated, "
    "and flat directions vary less than the law says"
)
INDEPENDENT = "batches were drawn independently, and the law is for shuffled epochs"

_BRIEFLY = {
    NO_STATIONARY_STATE: "the loss has a stationary state",
    UNSTABLE: "SGD is stable",
    SHUFFLED: "batches are drawn independently",
    INDEPENDENT: "batches are shuffled",
    assumptions.EQUILIBRATION.meaning.partition(":")[0]: "SGD has become stationary",
}
"""What a law assumes, by the reason that it is not so, or by its longer name."""

_BROKEN = re.compile(r"not so in \d+ of \d+ seeds: ([^:]+)")
"""A reason of `broken`: what must hold stands before its number."""

REST: tuple[Assumption, ...] = (
    assumptions.STATIONARITY,
    assumptions.DISSIPATION_RATIO,
    assumptions.EQUILIBRATION,
    assumptions.NO_NOISE_UPHILL,
)
"""What laws of the stationary state assume."""

SMALL_STEPS: tuple[Assumption, ...] = (
    assumptions.CONTINUOUS_STEP,
    assumptions.NOISE_TO_GRADIENT,
)
"""What laws of continuous time assume."""

CONSTANT: tuple[Assumption, ...] = (
    assumptions.HARMONICITY,
    assumptions.CONSTANT_NOISE,
    assumptions.ADDITIVITY,
)
"""What laws with H and σ² of the kept weights assume: a quadratic loss, the same noise wherever SGD
goes, and batches whose loss is a mean over their examples."""


def briefly(reason: str) -> str | None:
    """Return in a few words what a law assumes, by a reason that it is not so; None of other reasons."""
    found = _BROKEN.match(reason)
    said = found[1] if found else reason
    return _BRIEFLY.get(said, said if found else None)


def plain_faults(conditions: CellConditions) -> list[str]:
    """Return what is against a law of SGD without momentum."""
    momentum = conditions.trial.training.momentum
    return [f"the law is for plain SGD, and momentum is {momentum}"] if momentum else []


def rest_faults(conditions: CellConditions) -> list[str]:
    """Return what is against a stationary state."""
    faults = stability_faults(conditions)
    loss = LOSSES.get(conditions.cell.loss)
    has_minimum = loss is not None and loss.has_finite_minimum
    if conditions.trial.training.weight_decay == 0 and not has_minimum:
        faults.insert(0, NO_STATIONARY_STATE)
    return faults


def stability_faults(conditions: CellConditions) -> list[str]:
    """Return what is against stable steps: seeds that SGD ran away from, in training or in the excursion."""
    faults = [UNSTABLE] if conditions.state.num_diverged else []
    num_unstable = conditions.excursion.num_unstable
    if num_unstable:
        name, rate = conditions.excursion.statistic, conditions.excursion.learning_rate
        faults.append(f"{name} of {num_unstable} seeds was unstable at η = {rate:g}")
    return faults


def independence_faults(conditions: CellConditions) -> list[str]:
    """Return what is against a law of independent batches: shuffled epochs."""
    return [SHUFFLED] if conditions.is_shuffled else []


def broken(conditions: CellConditions, assumed: Sequence[Assumption]) -> list[str]:
    """List those of a law's assumptions that the numbers contradict, of the seeds tested, with the worst number."""
    failed: dict[Assumption, list[float]] = {}
    num_tested: Counter[Assumption] = Counter()
    for seed in conditions.trial_ids:
        for found in checks(conditions, seed):
            if found.test in assumed and math.isfinite(found.interval.value):
                num_tested[found.test] += 1
                if found.passes is False:
                    failed.setdefault(found.test, []).append(found.interval.value)
    return [
        f"not so in {len(values)} of {num_tested[each]} seeds: {each.meaning}, "
        f"here {each.farthest(values):.3g}"
        for each, values in failed.items()
    ]


def disagreement_faults(conditions: CellConditions, *quantities: str) -> list[str]:
    """List those of a law's inputs that two statistics state differently, with what they say in a seed."""
    found = {name: conditions.disagreements.get(name, {}) for name in quantities}
    num_seeds = len(conditions.trial_ids)
    return [
        f"statistics disagree about {GLOSSARY[name].symbol} in {len(by_seed)} of {num_seeds} seeds: "
        f"{by_seed[min(by_seed)]}"
        for name, by_seed in found.items()
        if by_seed
    ]


def equilibration_remarks(conditions: CellConditions) -> tuple[str, ...]:
    """State which share of tr σ² the excursion's steps have not brought to rest, mean over seeds."""
    spectra = conditions.noise_spectra
    num_steps = conditions.excursion.num_steps
    if not spectra or num_steps is None:
        return ()
    sgd = conditions.sgd
    shares = [unequilibrated_share(each, sgd, num_steps).value for each in spectra.values()]
    share = 100 * mean_of_units(shares).value
    return (f"{share:.1f} % of tr σ² is not equilibrated after {num_steps} steps",)
