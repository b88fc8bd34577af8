"""ln(measured/predicted) of a cell, with its interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.mathematics.interval import Interval
from analysis.mathematics.means import ratio_of_means
from analysis.mathematics.uncertain import Uncertain, combined_error, half_width


def log_ratio(
    measured: Mapping[int, Uncertain], predicted: Mapping[int, Uncertain]
) -> Interval | None:
    """Compute ln(measured/predicted), paired by seed, with its 95 % interval.

    r = Σ m_s/Σ p_s over the seeds s that have both. Its spread between seeds is Student's with n - 1
    degrees of freedom on the relative residuals (m_s - r·p_s)/m̄, which to first order are the
    deviations of ln(m_s/p_s), and which a seed with a noisy m_s ≤ 0 has too. The errors within the
    seeds give √Σ(σ_m² + r²σ_p²)/Σm, with Welch's degrees of freedom. The first contains the second on
    average, but not surely for few seeds: the wider interval counts. One seed has the second alone.

    Returns:
        None where no seed has both, or a side is not positive over all: two negative sides have a positive
        ratio, and are no sizes.
    """
    pairs = [(measured[seed], predicted[seed]) for seed in measured if seed in predicted]
    between = ratio_of_means([m.value for m, _ in pairs], [p.value for _, p in pairs])
    ratio, total = between.value, math.fsum(m.value for m, _ in pairs)
    if not total > 0 or not ratio > 0 or not math.isfinite(ratio):
        return None
    parts = [each for m, p in pairs for each in (m.scaled(1 / total), p.scaled(ratio / total))]
    widths = [
        half_width(between.stderr / ratio, between.degrees),
        half_width(*combined_error(parts)),
    ]
    known = [width for width in widths if width is not None]
    if not known:
        return Interval(math.log(ratio))
    half = max(known)
    return Interval(math.log(ratio), math.log(ratio) - half, math.log(ratio) + half)
