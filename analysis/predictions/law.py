"""What a law answers, and what is said of a law where its assumptions are broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.evidence import assumptions
from analysis.evidence.assumptions import Assumption
from analysis.evidence.conditions import CellConditions
from analysis.evidence.excursions import TARGETS
from analysis.evidence.validity import checks, unequilibrated_share
from analysis.mathematics.estimate import mean_over_seeds
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell_values import SeedValues
from workers.contract.quantities import GLOSSARY

NO_STATIONARY_STATE = "without weight decay the loss has no stationary state: ‖θ‖ grows for ever"
UNSTABLE = "seeds diverged: SGD is not stable at this learning rate"
SHUFFLED = (
    "epochs are shuffled: the noise of their batches is anti-correlated, "
    "and flat directions vary less than the law says"
)
INDEPENDENT = "batches were drawn independently, and the law is for shuffled epochs"

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


@dataclass(frozen=True)
class Prediction:
    """What a law says about one target in one excursion of a cell.

    Attributes:
        name: The law.
        target: The quantity it predicts.
        statistic_id: Where its input came from; None when there is none.
        by_seed: What it predicts, with the error of its input; empty when it could not be computed.
        faults: Why the law cannot be expected to hold here; empty when it can.
        remarks: What else a reader must know.
    """

    name: str
    target: str
    statistic_id: str | None = None
    by_seed: Mapping[int, Uncertain] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def of(self, seeds: Collection[int]) -> Prediction:
        """Keep what is predicted for some seeds."""
        return replace(self, by_seed={s: v for s, v in self.by_seed.items() if s in seeds})

    @property
    def predicted(self) -> float | None:
        """The mean over seeds."""
        return mean_over_seeds(self._values).mean if self.by_seed else None

    @property
    def predicted_stderr(self) -> float | None:
        """The error of that mean from the spread over seeds; of one seed the estimator's own."""
        if len(self.by_seed) == 1:
            (only,) = self.by_seed.values()
            stderr = only.stderr
        else:
            stderr = mean_over_seeds(self._values).stderr
        return stderr if math.isfinite(stderr) else None

    @property
    def _values(self) -> list[float]:
        return [each.value for each in self.by_seed.values()]


def value_faults(found: Prediction) -> list[str]:
    """Say that what is predicted cannot be: both targets are above 0 where SGD has noise and a minimum."""
    values = [each.value for each in found.by_seed.values()]
    wrong = [value for value in values if not value > 0]
    if not wrong:
        return []
    return [
        f"the predicted {TARGETS[found.target]} is not above 0 in {len(wrong)} of {len(values)} seeds, "
        f"here {min(wrong):.3g}: the law's noise is none, or the weights are at no minimum"
    ]


Law = Callable[[CellConditions], list[Prediction]]
"""Gives one prediction a target, none where the law has nothing to say of such an excursion."""


def scaled_input(
    name: str,
    target: str,
    conditions: CellConditions,
    quantity: str,
    factor: float,
    *,
    assumed: Sequence[Assumption],
) -> list[Prediction]:
    """Predict `factor` times a trace measured at the kept weights, for long independent plain SGD.

    Nothing is said of the shorter windows of a fork.
    """
    if not conditions.excursion.is_longest:
        return []
    measured = conditions.inputs.get(quantity)
    faults = [] if measured else [f"{GLOSSARY[quantity].symbol} was not measured"]
    return [
        Prediction(
            name,
            target,
            statistic_id=None if measured is None else measured.statistic_id,
            by_seed=_scaled(measured, factor),
            faults=(
                *faults,
                *plain_faults(conditions),
                *rest_faults(conditions),
                *independence_faults(conditions),
                *broken(conditions, assumed),
                *disagreement_faults(conditions, quantity),
            ),
            remarks=equilibration_remarks(conditions),
        )
    ]


def _scaled(measured: SeedValues | None, factor: float) -> dict[int, Uncertain]:
    values = {} if measured is None else measured.uncertain
    return {seed: value.scaled(factor) for seed, value in values.items()}


def plain_faults(conditions: CellConditions) -> list[str]:
    """Say what is against a law of SGD without momentum."""
    momentum = conditions.trial.training.momentum
    return [f"the law is for plain SGD, and momentum is {momentum}"] if momentum else []


def rest_faults(conditions: CellConditions) -> list[str]:
    """Say what is against a stationary state."""
    faults = stability_faults(conditions)
    if conditions.trial.training.weight_decay == 0 and conditions.cell.loss != "squared_error":
        faults.insert(0, NO_STATIONARY_STATE)
    return faults


def stability_faults(conditions: CellConditions) -> list[str]:
    """Say whether SGD ran away, in training or in the excursion."""
    faults = [UNSTABLE] if conditions.state.num_diverged else []
    num_unstable = conditions.excursion.num_unstable
    if num_unstable:
        name, rate = conditions.excursion.statistic, conditions.excursion.learning_rate
        faults.append(f"{name} of {num_unstable} seeds was unstable at η = {rate:g}")
    return faults


def independence_faults(conditions: CellConditions) -> list[str]:
    """Say when a law of independent batches meets shuffled epochs."""
    return [SHUFFLED] if conditions.is_shuffled else []


def broken(conditions: CellConditions, assumed: Sequence[Assumption]) -> list[str]:
    """Name those of a law's assumptions that the numbers contradict, with the worst number."""
    failed: dict[Assumption, list[float]] = {}
    for seed in conditions.trial_ids:
        for found in checks(conditions, seed):
            if found.test in assumed and found.passes is False:
                failed.setdefault(found.test, []).append(found.number.value)
    num_seeds = len(conditions.trial_ids)
    return [
        f"not so in {len(values)} of {num_seeds} seeds: {each.meaning}, "
        f"here {each.farthest(values):.3g}"
        for each, values in failed.items()
    ]


def disagreement_faults(conditions: CellConditions, *quantities: str) -> list[str]:
    """Name those of a law's inputs that two statistics state differently, with what they say in a seed."""
    found = {name: conditions.disagreements.get(name, {}) for name in quantities}
    num_seeds = len(conditions.trial_ids)
    return [
        f"statistics disagree about {GLOSSARY[name].symbol} in {len(by_seed)} of {num_seeds} seeds: "
        f"{by_seed[min(by_seed)]}"
        for name, by_seed in found.items()
        if by_seed
    ]


def equilibration_remarks(conditions: CellConditions) -> tuple[str, ...]:
    """Say which share of tr σ² the excursion's steps have not brought to rest, mean over seeds."""
    spectra = conditions.noise_spectra
    num_steps = conditions.excursion.num_steps
    if not spectra or num_steps is None:
        return ()
    sgd = conditions.sgd
    shares = [unequilibrated_share(each, sgd, num_steps).value for each in spectra.values()]
    share = 100 * mean_over_seeds(shares).mean
    return (f"{share:.1f} % of tr σ² is not equilibrated after {num_steps} steps",)
