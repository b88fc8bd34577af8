"""ln(measured/predicted) of a cell, with its interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.mathematics.estimate import ratio_of_means
from analysis.mathematics.uncertain import Uncertain, combined_error, half_width


@dataclass(frozen=True)
class LogRatio:
    """A log ratio with its interval.

    Attributes:
        value: ln(measured/predicted).
        low: Lower end of its 95 % interval; None where no error is known.
        high: Upper end.
    """

    value: float
    low: float | None
    high: float | None


def log_ratio(
    measured: Mapping[int, Uncertain], predicted: Mapping[int, Uncertain]
) -> LogRatio | None:
    """Compare what was measured with what was predicted, paired by seed.

    r = Σ m_s/Σ p_s over the seeds s that have both. Its spread between seeds is Student's with n - 1
    degrees of freedom on the relative residuals (m_s - r·p_s)/m̄, which to first order are the
    deviations of ln(m_s/p_s), and which a seed with a noisy m_s ≤ 0 has too. The errors within the
    seeds give √Σ(σ_m² + r²σ_p²)/Σm, with Welch's degrees of freedom. The first contains the second on
    average, but not surely for few seeds: the wider interval counts. One seed has the second alone.

    Returns:
        None where no seed has both, or r is not positive.
    """
    pairs = [(measured[seed], predicted[seed]) for seed in measured if seed in predicted]
    between = ratio_of_means([m.value for m, _ in pairs], [p.value for _, p in pairs])
    ratio = between.mean
    if not ratio > 0 or not math.isfinite(ratio):
        return None
    total = math.fsum(m.value for m, _ in pairs)
    parts = [each for m, p in pairs for each in (m.scaled(1 / total), p.scaled(ratio / total))]
    widths = [
        half_width(between.stderr / ratio, len(pairs) - 1),
        half_width(*combined_error(parts)),
    ]
    known = [width for width in widths if width is not None]
    if not known:
        return LogRatio(math.log(ratio), None, None)
    half = max(known)
    return LogRatio(math.log(ratio), math.log(ratio) - half, math.log(ratio) + half)
