"""What SGD did when the left side of a law was measured, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from analysis.mathematics.soundness import is_sound
from analysis.records.cell_states import CellState
from analysis.records.cell_values import SeedValues, seed_values
from analysis.records.load import Cell, SweepData, groups_by_cell
from workers.contract.registry import STATISTICS
from workers.contract.skipping import skipped_kind
from workers.contract.specs import PluginSpec, TrialSpec
from workers.statistics.fork import ForkSpec
from workers.statistics.tail import TailSpec

ALONG_THE_WAY = [name for name, item in STATISTICS.items() if item.is_along_the_way]
"""Statistics whose values are not those of the kept weights."""

TARGETS = {"excess_loss": "excess loss", "expected_gradient_norm_squared": "E‖∇L‖²"}
"""What a law may predict, with the words for it."""


@dataclass(frozen=True)
class MeasuredExcursion:
    """SGD from the kept weights, with the trial's batch size, momentum and L2.

    Attributes:
        statistic_id: What measured it; None when nothing did.
        statistic: Its name.
        learning_rate: η, constant.
        sampler: How batches were drawn.
        bn_mode: What batch norm normalised by.
        steps: The steps at which the weights were looked at; None for a stationary run, which is
            looked at in random places of its epochs.
        num_steps: T, the last step of the window; of a tail the steps after its burn-in; None when
            unknown.
        is_longest: No later window of the same streams.
        values: What was measured there, by quantity.
        indexed: The same of quantities with an index: eigenvalues, halves of a run.
        num_unstable: Seeds that SGD ran away from.
    """

    statistic_id: str | None
    statistic: str | None
    learning_rate: float
    sampler: str
    bn_mode: str
    steps: tuple[int, ...] | None = None
    num_steps: int | None = None
    is_longest: bool = True
    values: Mapping[str, SeedValues] = field(default_factory=dict)
    indexed: Mapping[tuple[str, int], SeedValues] = field(default_factory=dict)
    num_unstable: int = 0


def excursions(
    data: SweepData, states: Mapping[Cell, CellState], trials: Mapping[Cell, TrialSpec]
) -> dict[Cell, list[MeasuredExcursion]]:
    """List the excursions of every cell: each window of each fork, each tail, each plugin's.

    A plugin that gives a target without saying how is taken for a stationary run at the schedule's
    final rate with the trial's sampler. A cell without any has one such excursion with no values.
    """
    rows = data.measurements
    found: dict[Cell, list[MeasuredExcursion]] = {cell: [] for cell in states}
    for cell, all_rows in groups_by_cell(rows):
        default, trial = _default(states[cell], trials[cell]), trials[cell]
        for planned in data.plan.statistics:
            its = all_rows[all_rows["statistic_id"] == planned.statistic_id]
            if isinstance(planned.statistic, PluginSpec):
                found[cell] += _of_plugin(its, default, trial.training.weight_decay)
            elif isinstance(planned.statistic, ForkSpec | TailSpec) and not its.empty:
                found[cell] += _of_sgd(planned.statistic, its, default)
    return {
        cell: of_cell or [_default(states[cell], trials[cell])] for cell, of_cell in found.items()
    }


def _default(state: CellState, trial: TrialSpec) -> MeasuredExcursion:
    return MeasuredExcursion(
        None, None, state.final_learning_rate, trial.training.sampler, "frozen"
    )


def _of_plugin(
    rows: pd.DataFrame, default: MeasuredExcursion, weight_decay: float
) -> Iterator[MeasuredExcursion]:
    """Yield targets of the total objective; without weight decay the data objective is that too."""
    targets = rows[rows["quantity"].isin(TARGETS)]
    measured = _measured(targets, default.bn_mode)
    if measured.empty and weight_decay == 0:
        measured = _measured(targets, default.bn_mode, objective="data")
    if not measured.empty:
        identity, name = _source(rows)
        yield replace(default, statistic_id=identity, statistic=name, values=_values(measured))


def _of_sgd(
    spec: ForkSpec | TailSpec, rows: pd.DataFrame, default: MeasuredExcursion
) -> Iterator[MeasuredExcursion]:
    identity, name = _source(rows)
    measured = _measured(rows, spec.bn_mode)
    windows = spec.windows() if isinstance(spec, ForkSpec) else [None]
    for window in windows:
        at_end = measured["index"].isna() if window is None else measured["index"] == window[-1]
        yield MeasuredExcursion(
            identity,
            name,
            learning_rate=spec.learning_rate or default.learning_rate,
            sampler=spec.sampler,
            bn_mode=spec.bn_mode,
            steps=window,
            num_steps=spec.num_steps if window is None else window[-1],
            is_longest=window is windows[-1],
            values=_values(measured[at_end]),
            indexed=_indexed(measured),
            num_unstable=_num_unstable(rows),
        )


def _source(rows: pd.DataFrame) -> tuple[str, str]:
    identity, name = rows[["statistic_id", "statistic"]].iloc[0].tolist()
    return str(identity), str(name)


def _measured(rows: pd.DataFrame, bn_mode: str, *, objective: str = "total") -> pd.DataFrame:
    return rows[
        rows["layer"].isna()
        & (rows["split"] == "train")
        & (rows["objective"] == objective)
        & (rows["bn_mode"] == bn_mode)
        & is_sound(rows["value"])
    ]


def _values(rows: pd.DataFrame) -> dict[str, SeedValues]:
    return {str(quantity): seed_values(group) for quantity, group in rows.groupby("quantity")}


def _indexed(rows: pd.DataFrame) -> dict[tuple[str, int], SeedValues]:
    found = {}
    for _, group in rows[rows["index"].notna()].groupby(["quantity", "index"]):
        quantity, index = group[["quantity", "index"]].iloc[0].tolist()
        found[str(quantity), int(index)] = seed_values(group)
    return found


def _num_unstable(rows: pd.DataFrame) -> int:
    kinds = rows["skipped_reason"].astype(object).where(rows["skipped_reason"].notna(), None)
    return int(rows[kinds.map(skipped_kind) == "unstable"]["seed"].nunique())
