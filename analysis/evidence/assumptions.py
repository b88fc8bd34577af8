"""What laws assume, as far as a number can tell: what must hold, and within which limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain


@dataclass(frozen=True, eq=False)
class Assumption:
    """Something that laws assume and a number can contradict.

    Attributes:
        name: As in the view `validity`.
        meaning: What must hold, and the number that tells.
        lowest: The number must not be below.
        highest: Nor above.
    """

    name: str
    meaning: str
    lowest: float
    highest: float

    def passes(self, found: Interval) -> bool | None:
        """Whether the interval lies inside the limits; None when only a part does.

        Where its error is unknown the value alone decides.
        """
        low = found.value if found.low is None else found.low
        high = found.value if found.high is None else found.high
        if self.lowest <= low and high <= self.highest:
            return True
        return False if high < self.lowest or low > self.highest else None

    def farthest(self, values: Sequence[float]) -> float:
        """Return the value that is farthest outside the limits."""
        return max(values, key=lambda value: max(self.lowest - value, value - self.highest))


# Limits are choices, but where a source stands. 10 % is what a law may be off by and hold (`judge`), and an
# assumption that is broken by so much can alone cost it that; 5 % of the noise, or of a ratio over the run, is
# half of it. A direction forgets as e^(-ηλt/(1-μ)): 37 % is left at 1, 5 % at 3.


def _assume(
    name: str, meaning: str, *, lowest: float = -math.inf, highest: float = math.inf
) -> Assumption:
    return Assumption(name, meaning, lowest, highest)


STATIONARITY = _assume(
    "stationarity",
    "SGD is stationary: ⟨(θ-c)·g_B⟩ - ½η(1+μ)⟨‖v‖²⟩ is 0 within its error, over the run and its halves",
)
DISSIPATION_RATIO = _assume(
    "fluctuation_dissipation_ratio",
    "SGD is stationary: ⟨(θ-θ̄)·g_B⟩ / ½η(1+μ)⟨‖v‖²⟩ is 1 ± 0.05",
    lowest=0.95,
    highest=1.05,
)
HARMONICITY = _assume(
    "harmonicity",
    "the loss is quadratic where SGD goes: (E[L]-L*) / ½⟨(θ-θ̄)·∇L⟩ is 1 ± 0.1",
    lowest=0.9,
    highest=1.1,
)
CONTINUOUS_STEP = _assume(
    "continuous_step", "steps are small: ηλ₁/(2(1+μ)) is below 0.1", highest=0.1
)
DISCRETE_STEP = _assume("discrete_step", "steps are stable: ηλ₁/(2(1+μ)) is below 0.9", highest=0.9)
NOISE_TO_GRADIENT = _assume(
    "noise_to_gradient_ratio",
    "noise drives SGD: (tr σ²/m) / E‖∇L‖² is 1 or more (Li et al. 2021)",
    lowest=1.0,
)
EQUILIBRATION = _assume(
    "unequilibrated_share",
    "the noise has been forgotten where it acts: the share of tr σ² with ηλT/(1-μ) < 1 is below 5 %",
    highest=0.05,
)
SHUFFLING = _assume(
    "shuffled_share",
    "shuffling is no matter: the share of tr σ² with ηλK/(1-μ) < 3 is below 5 %",
    highest=0.05,
)
NOISE_IS_CURVATURE = _assume(
    "noise_over_curvature", "σ² = H: tr σ² / tr H is 1 ± 0.1", lowest=0.9, highest=1.1
)
CONSTANT_NOISE = _assume(
    "noise_along_the_way",
    "σ² is the same where SGD goes: tr σ² there over that at the kept weights is 1 ± 0.1",
    lowest=0.9,
    highest=1.1,
)
NO_NOISE_UPHILL = _assume(
    "negative_noise_mass",
    "there is no saddle: the share of tr σ² where λ < 0 is below 1 %",
    highest=0.01,
)
NO_SADDLE = _assume(
    "negative_curvature_mass",
    "there is no saddle: the share of directions where λ < 0 is below 1 %",
    highest=0.01,
)
ADDITIVITY = _assume(
    "batch_noise_additivity",
    "the loss of a batch is a mean over its examples: m·tr cov(g_B) at the largest multiple of m is "
    "1 ± 0.1 times that at m",
    lowest=0.9,
    highest=1.1,
)

AGREEMENT = _assume(
    "statistics_agree",
    "statistics that state one quantity agree: their difference over what their errors and rounding allow "
    "is at most 1",
    highest=1.0,
)


@dataclass(frozen=True)
class AssumptionCheck:
    """A test of one trial's excursion.

    Attributes:
        test: What was tested.
        interval: What was found, with its 95 % interval.
        passes: None when the interval is too wide to tell.
    """

    test: Assumption
    interval: Interval
    passes: bool | None


def check(test: Assumption, number: Uncertain) -> AssumptionCheck | None:
    """Compare a number with a test's limits; None when it is no number."""
    if not math.isfinite(number.value):
        return None
    interval = number.interval()
    return AssumptionCheck(test, interval, test.passes(interval))
