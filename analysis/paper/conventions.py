"""Which convention of measuring gives traces of the size printed in the paper's Table 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.leading import of_own_batches
from analysis.records.cell import Cell, groups_by_cell
from analysis.records.cell_states import CellState
from analysis.records.load import SweepData
from analysis.records.paper_table1 import ROWS, paper_row

NORMALISATIONS = ("mean", "sum")
RATES = ("none", "initial", "final")

_TRACES = ("gradient_noise_trace", "hessian_trace")
_SETTING = ["split", "bn_mode", "objective"]


@dataclass(frozen=True)
class Convention:
    """A convention of measuring both traces, and its distance from the paper.

    Attributes:
        split: The examples that the traces are over.
        bn_mode: The statistics that batch normalisation uses.
        objective: `data`, or `total` with L2.
        normalisation: `mean` over examples or `sum`.
        rate: `none`: the trace itself; `initial`, `final`: times η/4m with this η.
        noise_ratio: Geometric mean over cells of tr σ², ours/paper's.
        hessian_ratio: The same for tr H.
        distance: Root mean square over both traces and all cells of ln(ours/paper's).
        num_cells: Cells in common with the paper; 0 when only overall sizes could be compared.
    """

    split: str
    bn_mode: str
    objective: str
    normalisation: str
    rate: str
    noise_ratio: float
    hessian_ratio: float
    distance: float
    num_cells: int


def conventions(
    data: SweepData, cell_measurements: pd.DataFrame, states: Mapping[Cell, CellState]
) -> list[Convention]:
    """Compare every measured convention with the paper's Table 1; the closest comes first.

    Cells are matched by batch size and initial learning rate. Without a cell in common the geometric
    means over all cells are compared instead. tr σ² is the same for both objectives. A convention
    counts where both traces are measured and positive; sums need the number of examples, and the
    trial's schedule gives both rates.
    """
    sizes = num_examples(data)
    found = []
    for (split, bn_mode, objective), traces in _by_setting(data, cell_measurements).items():
        for normalisation, rate in itertools.product(NORMALISATIONS, RATES):
            num = sizes.get(split) if normalisation == "sum" else 1
            if num is None:
                continue
            factors = {
                cell: num * _rate_factor(cell, state, rate) for cell, state in states.items()
            }
            compared = _compared(traces, factors)
            if compared is None:
                continue
            logs, num_cells = compared
            found.append(
                Convention(
                    split, bn_mode, objective, normalisation, rate,
                    noise_ratio=math.exp(float(logs[0].mean())),
                    hessian_ratio=math.exp(float(logs[1].mean())),
                    distance=float(np.sqrt(np.mean(logs**2))),
                    num_cells=num_cells,
                )
            )  # fmt: skip
    return sorted(found, key=lambda item: item.distance)


def num_examples(data: SweepData) -> dict[str, int]:
    """Return the number of examples in each split, from passes that went over all of them."""
    whole = data.measurements[
        (data.measurements["quantity"] == "mean_loss") & data.measurements["value"].notna()
    ]
    sizes = {
        str(split): int(group.max())
        for split, group in whole.groupby("split", observed=True)["num_samples"]
    }
    if not data.trials.empty:
        sizes.setdefault("train", int(data.trials["num_train"].iloc[0]))
    return sizes


Setting = tuple[str, str, str]
Traces = tuple[dict[Cell, float], dict[Cell, float]]
"""tr σ² and tr H by cell."""


def _by_setting(data: SweepData, measured: pd.DataFrame) -> dict[Setting, Traces]:
    order = {item.statistic_id: place for place, item in enumerate(data.plan.statistics)}
    rows = measured[
        measured["quantity"].isin(_TRACES)
        & measured["layer"].isna()
        & (measured["index"].isna() | (measured["index"] == 0))
        & (measured["mean"] > 0)
    ]
    rows = of_own_batches(rows)
    rows = rows.assign(place=rows["statistic_id"].map(order)).sort_values("place", kind="stable")
    by_setting: dict[Setting, dict[str, dict[Cell, float]]] = {}
    for (split, bn_mode, objective), group in rows.groupby(_SETTING, observed=True):
        by_quantity = {
            quantity: _first_by_cell(group[group["quantity"] == quantity]) for quantity in _TRACES
        }
        by_setting[str(split), str(bn_mode), str(objective)] = by_quantity
    noise_name, hessian_name = _TRACES
    return {
        setting: (noise or by_setting.get((*setting[:2], "data"), {}).get(noise_name, {}), hessian)
        for setting, values in by_setting.items()
        for noise, hessian in [(values[noise_name], values[hessian_name])]
    }


def _first_by_cell(rows: pd.DataFrame) -> dict[Cell, float]:
    return {cell: float(group["mean"].iloc[0]) for cell, group in groups_by_cell(rows)}


def _rate_factor(cell: Cell, state: CellState, rate: str) -> float:
    if rate == "none":
        return 1.0
    learning_rate = cell.learning_rate if rate == "initial" else state.final_learning_rate
    return learning_rate / (4 * cell.batch_size)


def _compared(
    traces: Traces, factors: Mapping[Cell, float]
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], int] | None:
    """Return ln(ours/paper's) [2, cells] and the number of cells in common; None without values."""
    both = [cell for cell in factors if cell in traces[0] and cell in traces[1]]
    common = [cell for cell in both if paper_row(cell.batch_size, cell.learning_rate)]
    ours = _logs([[values[cell] * factors[cell] for cell in common or both] for values in traces])
    if not both:
        return None
    if common:
        rows = [row for cell in common if (row := paper_row(cell.batch_size, cell.learning_rate))]
        return ours - _logs([[getattr(row, name) for row in rows] for name in _TRACES]), len(common)
    paper = _logs([[getattr(row, name) for row in ROWS] for name in _TRACES])
    return ours.mean(axis=1, keepdims=True) - paper.mean(axis=1, keepdims=True), 0


def _logs(
    values: Sequence[Sequence[float]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the natural logarithms [2, cells] of both traces."""
    return np.log(np.array(values, dtype=np.float64))
