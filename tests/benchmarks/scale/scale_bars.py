"""How a cost grows with the number of trials, and whether it stays within its bar.

The bars are seconds of one processor. How much slower another one is, or the same one beside other work, is told by
what the same run measures of two programs that are not ours and do work like ours: start Python, import Arrow and
pandas, read the store's Parquet, group. On the processor of the bars they took `PEER_SECONDS`. On a slower one a
command is judged by its time over that slowness; on a faster one by its time as measured, so no bar gets stricter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CPU_SECONDS = {"aggregate": 10.0, "report": 30.0, "query": 1.5, "status": 2.0, "run": 5.0}
"""At most, at `BAR_TRIALS` trials of `BAR_ROWS` measurement rows in merged files, on 2 cores; a run finds nothing to do."""
PEAK_BYTES = 1.5e9
"""At most, of any command, at `BAR_TRIALS` trials."""
BAR_TRIALS, BAR_ROWS = 10_000, 134
"""Ten times as many trials may cost ten times that."""
PEER_SECONDS = {"duckdb": 0.7, "pandas": 0.8}
"""CPU of the peers that are asked for the groups of all measurements of `BAR_TRIALS` trials, on the processor of the
bars; recorded with our own commands' in the README's table."""
EXPONENT = 1.05
"""Of the growth of CPU: a cost in proportion to the records has 1."""

_NOISE = 0.05
"""By what share of itself the CPU time of the same command differs from run to run, at least."""

Says = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Point:
    """What a command takes on a store of so many trials, and how far its repeats lie apart."""

    num_trials: int
    cpu_seconds: float
    spread_seconds: float = 0.0

    @property
    def noise(self) -> float:
        """What it may differ by from run to run."""
        return max(self.spread_seconds, _NOISE * self.cpu_seconds)


@dataclass(frozen=True)
class Growth:
    """The exponent e of a cost a + b·n^e, and the range it may have by the noise of the costs.

    `exponent` is None where the smaller store costs no more than start-up, up to that noise.
    """

    exponent: float | None
    least: float
    most: float


@dataclass(frozen=True)
class Bar:
    """One figure, or the least it can be, held against what it may be at most.

    Attributes:
        as_measured: Of a CPU time on a slower processor than that of the bars, on which it took `value`.
    """

    what: str
    value: float
    at_most: float
    says: Says
    as_measured: float | None = None

    @property
    def text(self) -> str:
        """The figure and the verdict; of a slower processor what they would be as measured, too."""
        judged = f"{self.says}: {self.what}: {self.value:.4g}, at most {self.at_most:.4g}"
        if self.as_measured is None:
            return judged
        says = _says(self.as_measured, self.at_most)
        return f"{judged} (as measured: {says}, {self.as_measured:.4g})"


def growth(start: Point, small: Point, large: Point) -> Growth:
    """Estimate e from the CPU times c of a store of one cell and of two large ones.

        e = ln((c₂ - c₀)/(c₁ - c₀)) / ln((n₂ - n₀)/(n₁ - n₀))

    The cost c₀ of a single cell is what starting costs; less it, a cost a + b·n has e = 1 exactly. The range is
    that of both differences off by their noise: the root of the squares of that of the two costs.
    """
    scale = math.log((large.num_trials - start.num_trials) / (small.num_trials - start.num_trials))
    first, first_noise = _above(start, small)
    rise, noise = _above(start, large)
    if rise <= noise:
        return Growth(0.0, -math.inf, 1.0)  # nothing that could be told from noise
    least = math.log((rise - noise) / (max(first, 0.0) + first_noise)) / scale
    if first <= first_noise:
        return Growth(None, least, math.inf)
    most = math.log((rise + noise) / (first - first_noise)) / scale
    return Growth(math.log(rise / first) / scale, least, most)


def _above(start: Point, other: Point) -> tuple[float, float]:
    return other.cpu_seconds - start.cpu_seconds, math.hypot(start.noise, other.noise)


def growth_bar(what: str, found: Growth) -> Bar:
    """Hold an exponent against its bar: it fails only where noise cannot be why."""
    says: Says = "undecided"
    if found.exponent is not None and found.exponent <= EXPONENT:
        says = "holds"
    elif found.least > EXPONENT:
        says = "fails"
    value = found.least if found.exponent is None else found.exponent
    return Bar(f"{what}: exponent of CPU", value, EXPONENT, says)


def slowness(peer_seconds: Mapping[str, float]) -> float:
    """Return how many times as long this processor takes as that of the bars: 1 where no longer, or not known.

    Args:
        peer_seconds: CPU of each peer at `BAR_TRIALS` trials, in this run. All of `PEER_SECONDS` are needed: their sum
            counts, over what it was there.
    """
    if not PEER_SECONDS.keys() <= peer_seconds.keys():
        return 1.0
    return max(1.0, sum(map(peer_seconds.__getitem__, PEER_SECONDS)) / sum(PEER_SECONDS.values()))


def size_bars(
    command: str, num_trials: int, cpu_seconds: float, peak_bytes: float, times_slower: float = 1.0
) -> list[Bar]:
    """Hold the cost of a command against its bars; none below `BAR_TRIALS` trials.

    Its time is judged over what `slowness` says of the processor, its memory as it is.
    """
    times = num_trials / BAR_TRIALS
    if times < 1:
        return []
    at = f"{command} at {num_trials:,} trials"
    most = PEAK_BYTES * times
    found = [Bar(f"{at}: peak memory, bytes", peak_bytes, most, _says(peak_bytes, most))]
    if command in CPU_SECONDS:
        found.insert(0, _cpu_bar(at, cpu_seconds, CPU_SECONDS[command] * times, times_slower))
    return found


def _cpu_bar(at: str, cpu_seconds: float, most: float, times_slower: float) -> Bar:
    if times_slower == 1:
        return Bar(f"{at}: CPU seconds", cpu_seconds, most, _says(cpu_seconds, most))
    value = cpu_seconds / times_slower
    what = f"{at}: CPU seconds on the processor of the bars"
    return Bar(what, value, most, _says(value, most), cpu_seconds)


def _says(value: float, most: float) -> Says:
    return "holds" if value <= most else "fails"
