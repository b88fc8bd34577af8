"""The league of the laws: how far each is from what was measured, over all cells of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from analysis.findings.law_rows import LawRow, law_rows, where_they_speak
from analysis.laws.reasons import briefly
from analysis.mathematics.interval import Interval, side_by_side
from analysis.mathematics.means import mean_of_units
from analysis.mathematics.verdict import told
from analysis.records.cell import Cell


@dataclass(frozen=True)
class Standing:
    """One law over one sweep, for one quantity, measured in one way.

    Attributes:
        prediction: Name of the law.
        target: Quantity it predicts.
        measured_by: `fork` or `tail`.
        bn_mode: Of the excursions.
        sampler: Of the excursions.
        num_cells: Cells with a positive ratio measured/predicted.
        num_without_ratio: Cells measured where a side is not positive.
        num_valid: Cells where all checked assumptions of the law are met.
        median_distance: Median over cells of |ln(measured/predicted)|.
        log_ratio: Mean over cells of ln(measured/predicted), with its interval.
        cell_verdicts: How many cells hold, fail, are undecided by their own interval.
        num_against: Of the cells that judge it, those that fail by themselves or have no ratio: with any, it does
            not hold.
        verdict: Over the sweep; None without an interval.
        verdict_where_valid: The same over the valid cells alone; None when there are none.
        log_ratio_where_valid: The mean over the valid cells alone; NaN when there are none.
        unmet: What the law assumes, in a few words each, and is so in none of the cells.
    """

    prediction: str
    target: str
    measured_by: str
    bn_mode: str
    sampler: str
    num_cells: int
    num_without_ratio: int
    num_valid: int
    median_distance: float
    log_ratio: Interval
    cell_verdicts: dict[str, int]
    num_against: int
    verdict: str | None
    verdict_where_valid: str | None
    log_ratio_where_valid: Interval
    unmet: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[Interval, str | None]:
        """The ratio and the one verdict of the law: over the valid cells, over all where none is valid."""
        if self.num_valid:
            return self.log_ratio_where_valid, self.verdict_where_valid
        return self.log_ratio, self.verdict

    @property
    def told(self) -> str | None:
        """Its verdict in a word: `holds`, `fails`, `undecided`; `agrees` where it would hold and no cell is valid."""
        return told(self.judged[1], is_valid=self.num_valid > 0)


def league(predictions: pd.DataFrame) -> list[Standing]:
    """Rank the laws of each quantity by the median over cells of |ln(measured/predicted)|.

    A cell counts once: several windows or learning rates in it are averaged, with the mean of their
    interval bounds, as they share streams. The mean over cells has the interval mean ± t·sd/√n over
    the n cells (n - 1 degrees of freedom): cells are the independent units, each weighs the same, and
    true differences between cells widen it. One cell alone has its own interval.

    A law is an equality in every cell. Over the sweep it `holds` when every cell holds, or when the
    interval of the mean is inside the margin and no cell fails; it `fails` when every cell fails, or
    when the interval of the mean is wholly outside; else it is `undecided`. Cells where a side is not
    positive have no ratio: where there are any, the law does not hold over the sweep.

    Laws of the stationary state are judged by tails and the longest window of forks, laws that speak of
    every window by all of them.
    """
    groups: dict[tuple[str, ...], list[LawRow]] = {}
    for row in where_they_speak(law_rows(predictions)):
        key = (row.prediction, row.target, row.measured_by, row.bn_mode, row.sampler)
        groups.setdefault(key, []).append(row)
    standings = [standing for rows in groups.values() if (standing := _standing(rows))]
    return sorted(standings, key=_rank)


def _rank(standing: Standing) -> tuple[str, float, str]:
    return (standing.target, standing.median_distance, standing.prediction)


def _standing(rows: Sequence[LawRow]) -> Standing | None:
    by_cell = _by_cell(row for row in rows if row.has_ratio)
    if not by_cell:
        return None
    ratios = {cell: _of_cell(group) for cell, group in by_cell.items()}
    valid = [cell for cell, group in by_cell.items() if all(row.is_valid for row in group)]
    without = [group for cell, group in _by_cell(rows).items() if cell not in ratios]
    valid_without = [group for group in without if all(row.is_valid for row in group)]
    of_all, of_valid = list(ratios.values()), [ratios[cell] for cell in valid]
    judging, lacking = (of_valid, valid_without) if valid else (of_all, without)
    first = rows[0]
    return Standing(
        prediction=first.prediction,
        target=first.target,
        measured_by=first.measured_by,
        bn_mode=first.bn_mode,
        sampler=first.sampler,
        num_cells=len(ratios),
        num_without_ratio=len(without),
        num_valid=len(valid),
        median_distance=median(abs(ratio.value) for ratio in of_all),
        log_ratio=_pooled(of_all),
        cell_verdicts=dict(Counter(r.verdict for r in of_all if r.verdict is not None)),
        num_against=sum(ratio.verdict == "fails" for ratio in judging) + len(lacking),
        verdict=_verdict(of_all, is_everywhere=not without),
        verdict_where_valid=_verdict(of_valid, is_everywhere=not valid_without),
        log_ratio_where_valid=_pooled(of_valid),
        unmet=_unmet(by_cell.values()),
    )


def _unmet(cells: Iterable[Sequence[LawRow]]) -> tuple[str, ...]:
    """Return what is assumed and broken in every one of the cells, in the order of their reasons."""
    first, *others = (
        dict.fromkeys(said for row in rows for reason in row.reasons if (said := briefly(reason)))
        for rows in cells
    )
    return tuple(said for said in first if all(said in other for other in others))


def _by_cell(rows: Iterable[LawRow]) -> dict[Cell, list[LawRow]]:
    cells: dict[Cell, list[LawRow]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def _of_cell(rows: Sequence[LawRow]) -> Interval:
    return side_by_side([row.log_ratio for row in rows])


def _pooled(ratios: Sequence[Interval]) -> Interval:
    if not ratios:
        return Interval(math.nan)
    if len(ratios) == 1:
        return ratios[0]
    return mean_of_units([ratio.value for ratio in ratios]).interval()


def _verdict(ratios: Sequence[Interval], *, is_everywhere: bool) -> str | None:
    """Judge a law by its cells with a ratio, which are all cells if it is everywhere."""
    own = {ratio.verdict for ratio in ratios}
    pooled = _pooled(ratios).verdict
    if len(own) == 1 and own <= {"holds", "fails"}:
        pooled = own.pop()
    is_doubtful = "fails" in own or not is_everywhere
    return "undecided" if pooled == "holds" and is_doubtful else pooled
