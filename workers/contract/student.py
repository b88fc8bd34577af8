"""How sure a stated error makes one: the confidence of every interval, and Student's quantile for it."""

from __future__ import annotations

from functools import lru_cache

# SciPy is imported where a quantile is asked for, so that a query, which asks for none, starts without it.

CONFIDENCE = 0.95
"""Of every interval that is recorded, printed or judged by: the convention of the field."""


@lru_cache(maxsize=4096)
def student_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Return t with P(|T| ≤ t) = confidence, T of Student's distribution.

    An interval of a value v with standard error s is v ± t·s.

    Args:
        degrees: Degrees of freedom ν > 0 of the error; infinite for one that is known.
        confidence: Between 0 and 1.
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))
