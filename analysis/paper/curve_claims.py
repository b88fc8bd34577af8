"""The paper's claims about its Figures 2 and 3: accuracy curves of equal, close and far BS/LR."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.paper.claim import Claim, overall
from analysis.paper.curve_distance import CurveDistance, curve_distance
from analysis.paper.ratio_groups import CLOSE_FACTOR, RatioGroup, ratio_group
from analysis.records.cell import Cell, by_ratio, groups_by_cell
from analysis.records.load import SweepData
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM
from workers.contract.student import CONFIDENCE

Item = TypeVar("Item")

MATCH, APART = 1.0, 2.0
"""Distances in seed spreads: a mean curve within the other cell's band of ± one standard deviation over
seeds matches it; the bands of mean curves more than two apart do not overlap."""

MOST_PAIRS = 40
"""Pairs compared in a group; the paper's grid has 36 in all."""

_MOST_CELLS = 200
_ACCURACIES = {"train_accuracy": "training", "validation_accuracy": "validation"}

_STATEMENTS: dict[RatioGroup, str] = {
    "equal": f"Accuracy curves of equal BS/LR are the same: less than {MATCH:g} seed spread apart.",
    "close": f"Those of close BS/LR (a factor {CLOSE_FACTOR:g} at most) are similar: less than "
    f"{APART:g} apart.",
    "far": f"Those of far BS/LR are different: more than {APART:g} apart.",
}
_SOURCES: dict[RatioGroup, str] = {
    "equal": "Figures 2 and 3: equal BS/LR “very closely match”",
    "close": "Figures 2 and 3: close BS/LR match “somewhat”",
    "far": "Figures 2 and 3: far BS/LR are “noticeably different”",
}
_LACKING: dict[RatioGroup, str] = {
    "equal": "no two trained cells have one BS/LR",
    "close": f"no two trained cells have a BS/LR within a factor {CLOSE_FACTOR:g}",
    "far": f"no two trained cells have a BS/LR more than a factor {CLOSE_FACTOR:g} apart",
}


@dataclass(frozen=True)
class CurvePair:
    """Accuracy curves of one kind for two cells.

    Attributes:
        group: The group of their BS/LR.
        first: The cell of smaller BS/LR.
        second: The other.
        accuracy: `training` or `validation`.
        distance: The distance of their mean curves, or a sentence that says why there is none.
    """

    group: RatioGroup
    first: Cell
    second: Cell
    accuracy: str
    distance: CurveDistance | str

    def verdict(self, num_compared: int = 1) -> str:
        """Judge this pair by the claim about its group.

        The claim holds where the 95 % interval lies wholly on its side of the bound, and fails where
        the interval, widened to 5 % over `num_compared` (Bonferroni), lies wholly on the other.
        """
        if isinstance(self.distance, str):
            return "undecided"
        bound = MATCH if self.group == "equal" else APART
        low, high = self.distance.interval()
        is_below, is_above = (high <= bound, low > bound)
        if is_above if self.group == "far" else is_below:
            return "holds"
        widened = self.distance.interval(1 - (1 - CONFIDENCE) / num_compared)
        is_contrary = widened[1] <= bound if self.group == "far" else widened[0] > bound
        return "fails" if is_contrary else "undecided"


def curve_pairs(data: SweepData) -> list[CurvePair]:
    """Compare the accuracy curves of every two cells, the equal ones first.

    Seeds that diverged are left out; epochs are those that every seed of both cells has. At most
    `MOST_PAIRS` pairs of a group are compared, evenly chosen in the order of BS/LR.
    """
    lost = data.trials[data.trials["outcome"].isin(OUTCOMES_WITHOUT_MINIMUM)]["trial_id"]
    trained = dict(groups_by_cell(data.epochs[~data.epochs["trial_id"].isin(lost)]))
    cells = by_ratio(trained)
    by_group: dict[RatioGroup, list[tuple[Cell, Cell]]] = {group: [] for group in _STATEMENTS}
    for first, second in itertools.combinations(_thinned(cells, _MOST_CELLS), 2):
        if first.loss == second.loss:
            ratios = (cell.batch_size_over_learning_rate for cell in (first, second))
            by_group[ratio_group(*ratios)].append((first, second))
    chosen = {group: _thinned(pairs, MOST_PAIRS) for group, pairs in by_group.items()}
    compared = {cell for pairs in chosen.values() for pair in pairs for cell in pair}
    curves = {
        (cell, column): trained[cell].pivot_table(
            index="trial_id", columns="epoch", values=column, aggfunc="first", observed=True
        )
        for cell in compared
        for column in _ACCURACIES
    }
    return [
        CurvePair(group, *pair, label, _distance(*(curves[cell, column] for cell in pair)))
        for group, pairs in chosen.items()
        for pair in pairs
        for column, label in _ACCURACIES.items()
    ]


def curve_claims(pairs: Sequence[CurvePair]) -> list[Claim]:
    """Judge the paper's claims about equal, close and far BS/LR.

    Each claim `holds` when it holds for both accuracies of every pair of its group, `fails` when it
    fails for one, else is `undecided`: that curves match is an equivalence, for which few seeds and
    a wide interval are no support.
    """
    return [_claim(group, [pair for pair in pairs if pair.group == group]) for group in _STATEMENTS]


def _claim(group: RatioGroup, pairs: Sequence[CurvePair]) -> Claim:
    verdicts = {
        f"{pair.accuracy}, BS {pair.first.batch_size}, LR {pair.first.learning_rate:g} and "
        f"BS {pair.second.batch_size}, LR {pair.second.learning_rate:g}": pair.verdict(len(pairs))
        for pair in pairs
    }
    return Claim(
        f"curves_of_{group}_ratios",
        _STATEMENTS[group],
        _SOURCES[group],
        overall(verdicts.values()),
        verdicts,
        _numbers(pairs, list(verdicts.values())) if pairs else _LACKING[group],
    )


def _numbers(pairs: Sequence[CurvePair], verdicts: Sequence[str]) -> str:
    parts = []
    for accuracy in _ACCURACIES.values():
        found = [
            pair.distance
            for pair in pairs
            if pair.accuracy == accuracy and isinstance(pair.distance, CurveDistance)
        ]
        if found:
            parts.append(f"{accuracy}: {_ranges(found)}")
    if parts:
        parts.append(f"holds in {verdicts.count('holds')}, fails in {verdicts.count('fails')} of {len(pairs)}")  # fmt: skip
    reasons = (pair.distance for pair in pairs if isinstance(pair.distance, str))
    return "; ".join([*parts, *dict.fromkeys(reasons)])


def _ranges(found: Sequence[CurveDistance]) -> str:
    values, chances = [each.value for each in found], [each.p_value for each in found]
    bounds = [each.interval() for each in found]
    low, high = min(each[0] for each in bounds), max(each[1] for each in bounds)
    least = max(1 / each.num_splits for each in found)
    return (
        f"{_range(values, '.2f')} [{low:.2f}, {high:.2f}] seed spreads apart, "
        f"p = {_range(chances, '.2g')} (least possible {least:.2g})"
    )


def _range(values: Sequence[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _distance(first: pd.DataFrame, second: pd.DataFrame) -> CurveDistance | str:
    """Compare curves [seeds, epochs] over the epochs that all of them have."""
    curves = pd.concat([first, second]).dropna(axis="columns").to_numpy(np.float64)
    return curve_distance(curves, len(first))


def _thinned(items: Sequence[Item], most: int) -> list[Item]:
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).astype(int)]
