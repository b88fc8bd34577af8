"""Numbers with a standard error, and what follows from them to first order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.mathematics.interval import Interval
from workers.contract.student import CONFIDENCE, student_quantile


@dataclass(frozen=True)
class Uncertain:
    """A number with the standard error of its estimator: of one trial, or a mean over independent units.

    Attributes:
        value: The estimate; NaN when there is none.
        stderr: Its standard error; 0 when exact, NaN when unknown.
        degrees: Degrees of freedom of that error; infinite when it is known.
    """

    value: float
    stderr: float = 0.0
    degrees: float = math.inf

    def scaled(self, factor: float) -> Uncertain:
        """Multiply by an exactly known factor."""
        return Uncertain(self.value * factor, self.stderr * abs(factor), self.degrees)

    def times(self, other: Uncertain) -> Uncertain:
        """Multiply by an independent number: var = (b·σ_a)² + (a·σ_b)²."""
        parts = (self.scaled(other.value), other.scaled(self.value))
        stderr, degrees = combined_error(parts)
        return Uncertain(self.value * other.value, stderr, degrees)

    def over(self, other: Uncertain) -> Uncertain:
        """Divide by an independent number that is not 0 (delta method)."""
        ratio = self.value / other.value
        parts = (self.scaled(1 / other.value), other.scaled(ratio / other.value))
        stderr, degrees = combined_error(parts)
        return Uncertain(ratio, stderr, degrees)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Compute value ± t·stderr with Student's t; without bounds where the error is unknown."""
        half = half_width(self.stderr, self.degrees, confidence)
        if half is None or not math.isfinite(self.value):
            return Interval(self.value)
        return Interval(self.value, self.value - half, self.value + half)


def combined_error(parts: Sequence[Uncertain]) -> tuple[float, float]:
    """Compute the standard error of a sum of independent terms, and its degrees of freedom.

    var = Σ var_j, and ν = var²/Σ(var_j²/ν_j) (Welch 1947, Satterthwaite 1946).
    """
    variances = [part.stderr**2 for part in parts]
    variance = math.fsum(variances)
    if not variance > 0:
        return math.sqrt(variance), math.inf
    shares = (
        (each / variance) ** 2 / part.degrees for each, part in zip(variances, parts, strict=True)
    )
    weight = math.fsum(shares)
    return math.sqrt(variance), 1 / weight if weight else math.inf


def half_width(stderr: float, degrees: float, confidence: float = CONFIDENCE) -> float | None:
    """Compute half the width of Student's interval; None where the error is unknown."""
    if not math.isfinite(stderr) or not degrees > 0:
        return None
    return student_quantile(degrees, confidence) * stderr
