"""The first screen as plain values: a sentence a law, one forest plot, how much is done and what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.mathematics.verdict import BAND

_LADDER = (1, 2, 5)


@dataclass(frozen=True)
class Finding:
    """One sentence of the answer.

    Attributes:
        text: The sentence, with its number.
        name: The law's identifier; empty where the sentence is of no single law.
        verdict: `holds`, `agrees`, `fails`, `undecided`, `not measured`; empty where nothing is judged.
        support: On how many seeds and cells it rests.
        limit: What keeps it from saying more; empty where nothing does.
    """

    text: str
    name: str = ""
    verdict: str = ""
    support: str = ""
    limit: str = ""


@dataclass(frozen=True)
class ForestMark:
    """A ratio with its 95 % interval.

    Attributes:
        label: Whose it is.
        value: Above 0.
        low: None where the interval is not known.
        high: None where the interval is not known.
        text: The ratio in words of digits: `0.27 [0.14, 0.52]`.
        color: Of the law; empty for the colour of the text.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    color: str = ""


@dataclass(frozen=True)
class Forest:
    """A forest plot on a logarithmic axis with a line at 1 and a band of ± 10 %.

    Attributes:
        title: What is plotted.
        marks: From above.
    """

    title: str
    marks: Sequence[ForestMark]

    @property
    def limits(self) -> tuple[float, float]:
        """The axis' ends: all marks and 1, with a margin; bounds without measure do not widen it."""
        values = [mark.value for mark in self.marks]
        widest = max(abs(math.log(value)) for value in values) + math.log(10)
        bounds = [
            b for mark in self.marks for b in (mark.low, mark.high) if b is not None and b > 0
        ]
        near = [bound for bound in bounds if abs(math.log(bound)) <= widest]
        low, high = min([*values, *near, 1 / 1.5]), max([*values, *near, 1.5])
        return low / 1.15, high * 1.15

    def percent(self, value: float) -> float:
        """Return where a value stands, in per cent of the axis from its left end."""
        low, high = self.limits
        if value <= 0:
            return 0.0
        share = math.log(value / low) / math.log(high / low)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    @property
    def band(self) -> tuple[float, float]:
        """Where the band of ± 10 % begins, and how wide it is, in per cent."""
        start, end = map(self.percent, BAND)
        return start, round(end - start, 3)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where the axis is labelled, in per cent, and how: at most about five round numbers."""
        low, high = self.limits
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        num_within = math.floor(math.log10(high)) - math.ceil(math.log10(low)) + 1
        is_wide = math.log10(high / low) > 2
        stride = max(1, math.ceil(num_within / 5)) if is_wide else 1
        values = [
            step * 10.0**decade
            for decade in decades
            if not is_wide or decade % stride == 0
            for step in ((1,) if is_wide else _LADDER)
        ]
        return [(self.percent(value), f"{value:g}") for value in values if low <= value <= high]


@dataclass(frozen=True)
class FirstScreen:
    """What a reader gets first.

    Attributes:
        findings: The sentences, the most important first.
        asides: What else matters, in grey: laws not measured, the statistic that would decide.
        forest: Measured over predicted; None where nothing is known.
        completeness: How much of the sweep is done, in a sentence.
        is_complete: Whether that is all.
        cost: What it took, in core-hours.
        setting: Model, data, loss, epochs, cells and seeds, in a line.
        question: What the verdicts answer.
        summary: Which laws hold, and how many fail or are undecided; empty before any is measured.
        measured: How excess loss was measured; empty before it is.
    """

    findings: Sequence[Finding]
    asides: Sequence[str]
    forest: Forest | None
    completeness: str
    is_complete: bool
    cost: str
    setting: str = ""
    question: str = ""
    summary: str = ""
    measured: str = ""
