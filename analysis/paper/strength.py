"""Whether the learning rate moves tr σ²/tr H much more strongly than the batch size does."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.mathematics.interval import Interval
from analysis.mathematics.regression import Fit, fit_with_error
from analysis.paper.claim import Claim
from analysis.paper.factors import MAGNITUDE_DIFFERENCE

MUCH = 2.0
"""The factor that “much stronger” is taken to mean: at least twice the exponent."""

_FACTORS = ["learning_rate", "batch_size"]


def rate_is_stronger(values: pd.DataFrame) -> Claim:
    """Judge the exponents of tr σ²/tr H ∝ η^a·m^b against each other.

    One least-squares fit over cells, the means of their trials (columns of `trial_values`, all
    logarithms): factors differ between cells alone. The claim is |a| > MUCH·|b|: it holds where the 95 %
    interval of |a| - MUCH·|b| lies above 0, fails where it lies below. Where powers are not the whole
    truth, a and b are those that fit this grid best.
    """
    cells = (
        values.groupby(_FACTORS, as_index=False, observed=True)[MAGNITUDE_DIFFERENCE]
        .mean()
        .dropna()
    )
    found: Fit | str = "no trial has both traces"
    if len(cells):
        response = cells[MAGNITUDE_DIFFERENCE].to_numpy(np.float64)
        found = fit_with_error(cells[_FACTORS].to_numpy(np.float64), response)
    if isinstance(found, str):
        return _claim("undecided", found)
    judged = stronger_by(found, MUCH)
    numbers = (
        f"η^{_shown(found.contrast([1, 0]))}, m^{_shown(found.contrast([0, 1]))} over {len(cells)} "
        f"cells; |a| - |b| = {_shown(stronger_by(found, 1.0))}, |a| - {MUCH:g}|b| = {_shown(judged)}"
    )
    if judged.low is None or judged.high is None:
        return _claim("undecided", numbers)
    verdict = "holds" if judged.low > 0 else "fails" if judged.high < 0 else "undecided"
    return _claim(verdict, numbers)


def stronger_by(found: Fit, factor: float) -> Interval:
    """Estimate |b₁| - factor·|b₂| of the two slopes of a fit, with a 95 % interval.

    With u = b₁ + factor·b₂ and v = b₁ - factor·b₂ it equals max(min(u, v), -max(u, v)), in which no
    sign has to be guessed; its bounds follow from those of the intervals of u and v. Each bound is
    missed in 2.5 % of samples where one slope is clear of 0, in 5 % at most.
    """
    u, v = found.contrast([1, factor]), found.contrast([1, -factor])
    value = max(min(u.value, v.value), -max(u.value, v.value))
    if u.low is None or v.low is None or u.high is None or v.high is None:
        return Interval(value)
    low = max(min(u.low, v.low), -max(u.high, v.high))
    high = max(min(u.high, v.high), -max(u.low, v.low))
    return Interval(value, low, high)


def _claim(verdict: str, numbers: str) -> Claim:
    return Claim(
        "rate_moves_ratio_much_stronger",
        f"LR moves tr σ²/tr H much more strongly than BS: |a| > {MUCH:g}|b| in η^a·m^b.",
        "Section 5.3, Figure 4: LR moves the ratio “much stronger” than BS",
        verdict,
        {},
        numbers,
    )


def _shown(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:+.2f} [?]"
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
