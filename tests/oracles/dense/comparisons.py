"""What a statistic states beside what the reference gives: how far apart, and whether that may be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

EXACT = 1e-5
"""Relative: roundings of float32, 6·10⁻⁸ each, over some hundred operations."""

LARGEST_Z = 4.5
"""Student's t of 63 degrees of freedom exceeds it once in 30,000."""


@dataclass(frozen=True)
class Comparison:
    """One value beside its reference.

    Attributes:
        case: Network and loss.
        statistic: That gave the value.
        what: Quantity, layer, index, objective, split, method.
        value: As stated.
        stderr: As stated; 0 for an exact value.
        expected: By the reference.
        expected_stderr: Its own; 0 where it is exact.
        scale: The largest value of its kind over the layers and the whole.
        margin: How far an exact value may be off beside the rounding.
    """

    case: str
    statistic: str
    what: tuple[object, ...]
    value: float
    stderr: float
    expected: float
    expected_stderr: float = 0.0
    scale: float = 0.0
    margin: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether neither side has an error."""
        return self.error == 0

    @property
    def error(self) -> float:
        """Of the difference."""
        return math.hypot(self.stderr, self.expected_stderr)

    @property
    def z(self) -> float:
        """The difference in errors."""
        return (self.value - self.expected) / self.error

    @property
    def relative(self) -> float:
        """The difference beside the scale, after the margin."""
        excess = max(abs(self.value - self.expected) - self.margin, 0.0)
        return excess / max(abs(self.expected), self.scale)

    @property
    def agrees(self) -> bool:
        """Whether the difference may be."""
        return self.relative <= EXACT if self.is_exact else abs(self.z) <= LARGEST_Z

    def __str__(self) -> str:
        """Say what differs, by how much."""
        how = f"relative {self.relative:.1e}" if self.is_exact else f"z = {self.z:.1f}"
        name = " ".join(str(each) for each in self.what if each is not None)
        stated = f"{self.value:.7g} ± {self.stderr:.1e}"
        return (
            f"{self.case}, {self.statistic}, {name}: {stated}, reference {self.expected:.7g}, {how}"
        )


@dataclass
class Ledger:
    """All comparisons that held, each counted once however often it is made."""

    entries: dict[tuple[object, ...], Comparison] = field(default_factory=dict)

    def check(self, found: Iterable[Comparison]) -> None:
        """Enter comparisons, all of which must hold."""
        found = list(found)
        faults = [str(each) for each in found if not each.agrees]
        assert not faults, f"{len(faults)} of {len(found)} differ:\n" + "\n".join(faults)
        for each in found:
            key = (each.case.split()[0], each.what[:3], each.what[-1], each.value, each.expected)
            self.entries.setdefault(key, each)

    @property
    def exact(self) -> list[Comparison]:
        """Those without an error."""
        return [each for each in self.entries.values() if each.is_exact]

    @property
    def estimates(self) -> list[Comparison]:
        """Those with one."""
        return [each for each in self.entries.values() if not each.is_exact]
