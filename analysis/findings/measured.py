"""Every quantity measured in the cells of a sweep: its leading value, and what follows from two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.findings.leading import leading_rows
from analysis.mathematics.means import mean_of_units, ratio_of_means
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import CELL_COLUMNS, Cell
from analysis.records.cell_states import CellState, cell_states
from analysis.records.cell_values import whole_model_values
from analysis.records.load import SweepData

Stability = Literal["stable", "edge", "unstable"]
Rate = Literal["initial", "final"]

STABILITY_LIMIT = 2.0
"""ηλ₁/(1+μ) at which SGD on a quadratic loses its stability."""

EDGE_MARGIN = 0.1
"""As for the verdicts of the laws: within 10 % of the limit is the edge."""

_CURVATURE = "hessian_top_eigenvalue"


@dataclass(frozen=True)
class MeasuredQuantity:
    """The leading measurement of one quantity, by cell.

    Attributes:
        quantity: Its name in the glossary.
        source: Statistic, batch norm, split, objective; "tr σ² and ‖∇L‖²" where computed.
        values: Means over seeds, with their error over seeds.
        num_seeds: Seeds with a value.
        objective: `data` or `total`.
    """

    quantity: str
    source: str
    values: Mapping[Cell, Uncertain]
    num_seeds: Mapping[Cell, int]
    objective: str = "data"


@dataclass(frozen=True)
class MeasuredCells:
    """What was measured in the cells of a sweep; quantities without any value are left out.

    Attributes:
        states: All planned cells.
        momentum: μ of every trial.
        train: By quantity, on the training split, data objective where both were measured.
        total: The same with the total objective first, which is the one that SGD descends.
        test: By quantity, on the test split alone.
        magnitude_difference: tr σ²/tr H by cell, a ratio of means paired by seed.
    """

    states: Mapping[Cell, CellState]
    momentum: float
    train: Mapping[str, MeasuredQuantity]
    total: Mapping[str, MeasuredQuantity]
    test: Mapping[str, MeasuredQuantity]
    magnitude_difference: Mapping[Cell, Uncertain]

    def step_size(self, rate: Rate) -> dict[Cell, Uncertain]:
        """Compute ηλ₁/(1+μ) at the initial or the final η of each cell, λ₁ of the trained network."""
        found = self.total.get(_CURVATURE)
        values = {} if found is None else found.values
        return {
            cell: value.scaled(self._rate(cell, rate) / (1 + self.momentum))
            for cell, value in values.items()
        }

    def _rate(self, cell: Cell, rate: Rate) -> float:
        return cell.learning_rate if rate == "initial" else self.states[cell].final_learning_rate


def stability(step_size: float) -> Stability:
    """Judge ηλ₁/(1+μ): below 2 by more than 10 % stable, above it by more unstable, else the edge.

    Source: Cohen et al. 2021, 2103.00065, for the name; the limit is that of linear dynamics.
    """
    if step_size < STABILITY_LIMIT * (1 - EDGE_MARGIN):
        return "stable"
    return "unstable" if step_size > STABILITY_LIMIT * (1 + EDGE_MARGIN) else "edge"


def measured_cells(data: SweepData, cell_measurements: pd.DataFrame) -> MeasuredCells:
    """Collect the leading value of every quantity from the derived view `cell_measurements`."""
    on_test = cell_measurements[cell_measurements["split"] == "test"]
    train = _by_quantity(leading_rows(cell_measurements, data.plan))
    return MeasuredCells(
        states=cell_states(data),
        momentum=data.plan.trials[0].trial.training.momentum,
        train={**_simple_noise_scale(data), **train},
        total=_by_quantity(leading_rows(cell_measurements, data.plan, objective="total")),
        test=_by_quantity(leading_rows(on_test, data.plan, split="test")),
        magnitude_difference=_paired(data, "gradient_noise_trace", "hessian_trace", ratio_of_means),
    )


def _by_quantity(rows: pd.DataFrame) -> dict[str, MeasuredQuantity]:
    found = {}
    for quantity, group in rows.groupby("quantity", sort=False, observed=True):
        keys = group[CELL_COLUMNS].itertuples(index=False, name=None)
        cells = [Cell(str(loss), int(size), float(rate)) for loss, size, rate in keys]
        means = (group[name].astype(float).tolist() for name in ("mean", "stderr"))
        counts = group["num_seeds"].astype(int).tolist()
        first = group.iloc[0]
        estimates = (
            Uncertain(mean, stderr, count - 1)
            for mean, stderr, count in zip(*means, counts, strict=True)
        )
        parts = (first["statistic"], f"batch norm {first['bn_mode']}", first["split"])
        found[str(quantity)] = MeasuredQuantity(
            str(quantity),
            ", ".join(map(str, parts)) + f", {first['objective']} objective",
            dict(zip(cells, estimates, strict=True)),
            dict(zip(cells, counts, strict=True)),
            str(first["objective"]),
        )
    return found


def _simple_noise_scale(data: SweepData) -> dict[str, MeasuredQuantity]:
    """Compute tr σ²/‖∇L‖² seed by seed, for sweeps that measured both and not their ratio."""
    ratios = _paired(data, "gradient_noise_trace", "gradient_norm_squared", _mean_ratio)
    if not ratios:
        return {}
    found = MeasuredQuantity(
        "simple_noise_scale",
        "computed of tr σ² and ‖∇L‖², seed by seed",
        ratios,
        {cell: int(ratio.degrees) + 1 for cell, ratio in ratios.items()},
    )
    return {found.quantity: found}


def _mean_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Uncertain:
    pairs = zip(numerators, denominators, strict=True)
    return mean_of_units([top / bottom for top, bottom in pairs if bottom])


def _paired(
    data: SweepData,
    numerator: str,
    denominator: str,
    ratio: Callable[[Sequence[float], Sequence[float]], Uncertain],
) -> dict[Cell, Uncertain]:
    """Compare two quantities in the seeds of each cell that have both."""
    tops, bottoms = (whole_model_values(data, name) for name in (numerator, denominator))
    found = {}
    for cell in tops.keys() & bottoms.keys():
        top, bottom = tops[cell].by_seed, bottoms[cell].by_seed
        seeds = sorted(top.keys() & bottom.keys())
        if seeds:
            found[cell] = ratio([top[seed] for seed in seeds], [bottom[seed] for seed in seeds])
    return dict(sorted(found.items()))
