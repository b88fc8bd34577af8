"""Images a second of the bursts that contenders took in turn, and how they compare."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BARS = {"torch": 1.0, "keras": 1.5}
"""What our rate is to be of the fastest of each kind, at least."""


@dataclass(frozen=True)
class Rates:
    """Images a second over rounds: median and quartiles."""

    median: float
    low: float
    high: float


def rates_of(rounds: Sequence[float]) -> Rates:
    """Summarise the images a second of each round."""
    if len(rounds) == 1:
        return Rates(rounds[0], rounds[0], rounds[0])
    low, median, high = statistics.quantiles(rounds, n=4, method="inclusive")
    return Rates(median, low, high)


def ratios(rounds: Mapping[str, Sequence[float]], own: str, other: str) -> Rates:
    """Compare two contenders round by round, so that a slow moment of the machine strikes both.

    Args:
        rounds: Images a second by contender and round.
        own: The numerator.
        other: The denominator.
    """
    return rates_of([a / b for a, b in zip(rounds[own], rounds[other], strict=True)])


def fastest(rounds: Mapping[str, Sequence[float]], kind: str) -> str | None:
    """Return the contender of a kind with the highest median; None without one."""
    found = [name for name in rounds if name.split("-")[0] == kind]
    return max(found, key=lambda name: rates_of(rounds[name]).median, default=None)
