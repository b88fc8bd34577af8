"""Which way of measuring puts tr σ² above tr H, the more so the smaller BS/LR, as in the paper's Table 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.mathematics.interval import Interval, side_by_side
from analysis.mathematics.log_ratio import log_ratio
from analysis.mathematics.regression import fit_with_error
from analysis.paper.factors import TRACES
from analysis.paper.trace_points import TracePoint
from analysis.records.cell import Cell
from analysis.records.cell_values import whole_model_values
from analysis.records.load import SweepData

_NOISE, _, _HESSIAN = TRACES


@dataclass(frozen=True)
class Ordering:
    """Both traces measured in one way, held against the order that the paper's Table 1 has them in.

    Sums over examples, and the factor η/4m with the initial rate or the final one, multiply both traces
    alike: neither number here depends on them.

    Attributes:
        split: The examples that the traces are over.
        bn_mode: What batch normalisation normalises by; `batch` takes SGD's own batches.
        objective: `data`, or `total` with L2.
        cells: ln(tr σ²/tr H) of each cell, with its 95 % interval.
        slope: d ln(tr σ²/tr H)/d ln(BS/LR) over cells, with its 95 % interval where there is one. BS/LR
            differs between cells alone: seeds of a cell are no further evidence that it is a straight line.
    """

    split: str
    bn_mode: str
    objective: str
    cells: Mapping[Cell, Interval]
    slope: Interval

    @property
    def log_ratio(self) -> Interval:
        """The mean of ln(tr σ²/tr H) over cells, whose errors may depend on each other in any way."""
        return side_by_side(list(self.cells.values()))

    @property
    def num_above(self) -> int:
        """Cells in which tr σ² exceeds tr H by its interval."""
        return sum(each.low is not None and each.low > 0 for each in self.cells.values())

    @property
    def num_below(self) -> int:
        """Cells in which tr H exceeds tr σ² by its interval."""
        return sum(each.high is not None and each.high < 0 for each in self.cells.values())

    @property
    def verdict(self) -> str:
        """Whether both are as in the paper: above in every cell, and the more so the smaller BS/LR."""
        low, high = self.slope.low, self.slope.high
        if self.num_below or (low is not None and low > 0):
            return "fails"
        is_falling = high is not None and high < 0
        return "holds" if is_falling and self.num_above == len(self.cells) else "undecided"


def orderings(data: SweepData) -> list[Ordering]:
    """Judge every way in which both traces were measured, those of the training split first."""
    ways = dict.fromkeys(
        (each.split, each.bn_mode, each.objective)
        for its in data.whole_model.by_cell.values()
        for each in its
        if each.quantity == _HESSIAN
    )
    found = [_ordering(data, *way) for way in ways]
    kept = [each for each in found if each is not None]
    return sorted(kept, key=lambda each: (each.split != "train", each.split))


def slope_of_points(points: Sequence[TracePoint]) -> Interval:
    """Return d ln(tr σ²/tr H)/d ln(BS/LR) over cells, such as those of the printed Table 1."""
    ratios = [point.batch_size / point.learning_rate for point in points]
    return _slope(ratios, [math.log(point.magnitude_difference.value) for point in points])


def _ordering(data: SweepData, split: str, bn_mode: str, objective: str) -> Ordering | None:
    noise, hessian = (
        whole_model_values(data, name, objective=objective, split=split, bn_mode=bn_mode)
        for name in (_NOISE, _HESSIAN)
    )
    found = {
        cell: log_ratio(noise[cell].uncertain, hessian[cell].uncertain)
        for cell in sorted(noise.keys() & hessian.keys())
    }
    cells = {cell: ratio for cell, ratio in found.items() if ratio is not None}
    if not cells:
        return None
    ratios = [cell.batch_size / cell.learning_rate for cell in cells]
    slope = _slope(ratios, [ratio.value for ratio in cells.values()])
    return Ordering(split, bn_mode, objective, cells, slope)


def _slope(ratios: Sequence[float], logs: Sequence[float]) -> Interval:
    found = fit_with_error(np.log(np.array(ratios))[:, None], np.array(logs))
    return Interval(math.nan) if isinstance(found, str) else found.contrast([1])
