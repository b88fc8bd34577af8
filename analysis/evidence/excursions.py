"""What SGD did when the left side of a law was measured, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.cell_states import CellState
from analysis.records.load import SweepData
from analysis.records.pieces import pieces
from analysis.records.seed_values import SeedValues
from analysis.records.series import Series
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
    found: dict[Cell, list[MeasuredExcursion]] = {cell: [] for cell in states}
    for cell, of_statistics in _measured_by(data).items():
        default, trial = _default(states[cell], trials[cell]), trials[cell]
        series = data.whole_model.by_cell.get(cell, ())
        for planned in data.plan.statistics:
            by = of_statistics.get(planned.statistic_id)
            if by is None:
                continue
            its = [each for each in series if each.statistic_id == planned.statistic_id]
            if isinstance(planned.statistic, PluginSpec):
                found[cell] += _of_plugin(by, its, default, trial.training.weight_decay)
            elif isinstance(planned.statistic, ForkSpec | TailSpec):
                found[cell] += _of_sgd(planned.statistic, by, its, default)
    return {
        cell: of_cell or [_default(states[cell], trials[cell])] for cell, of_cell in found.items()
    }


class _MeasuredBy(NamedTuple):
    """A statistic with rows in a cell, skipped ones included.

    Attributes:
        statistic_id: Its identity.
        name: Its name.
        num_unstable: Seeds that SGD ran away from.
    """

    statistic_id: str
    name: str
    num_unstable: int


def _measured_by(data: SweepData) -> dict[Cell, dict[str, _MeasuredBy]]:
    """List the statistics that have rows in each cell, by their identities."""
    reasons = data.measurements["skipped_reason"].dropna().unique()
    unstable = [reason for reason in reasons if skipped_kind(reason) == "unstable"]
    keys = [*CELL_COLUMNS, "statistic_id", "statistic"]
    found: dict[Cell, dict[str, _MeasuredBy]] = {}
    for rows in pieces(data, [*keys, "seed", "skipped_reason"]):
        of_unstable = rows["seed"].where(rows["skipped_reason"].isin(unstable))
        groups = (
            rows.assign(seed=of_unstable).groupby(keys, sort=True, observed=True)["seed"].nunique()
        )
        counts = groups.reset_index(name="num_unstable")
        columns = (counts[name].tolist() for name in ("statistic_id", "statistic", "num_unstable"))
        for cell, *by in zip(cells_of(counts), *columns, strict=True):
            found.setdefault(cell, {}).setdefault(by[0], _MeasuredBy(*by))
    return found


def _default(state: CellState, trial: TrialSpec) -> MeasuredExcursion:
    return MeasuredExcursion(
        None, None, state.final_learning_rate, trial.training.sampler, "frozen"
    )


def _of_plugin(
    by: _MeasuredBy, series: Sequence[Series], default: MeasuredExcursion, weight_decay: float
) -> Iterator[MeasuredExcursion]:
    """Yield targets of the total objective; without weight decay the data objective is that too."""
    targets = [each for each in series if each.quantity in TARGETS]
    measured = _measured(targets, default.bn_mode)
    if not measured and weight_decay == 0:
        measured = _measured(targets, default.bn_mode, objective="data")
    if measured:
        yield replace(
            default, statistic_id=by.statistic_id, statistic=by.name, values=_values(measured)
        )


def _of_sgd(
    spec: ForkSpec | TailSpec,
    by: _MeasuredBy,
    series: Sequence[Series],
    default: MeasuredExcursion,
) -> Iterator[MeasuredExcursion]:
    measured = _measured(series, spec.bn_mode)
    indexed = {
        (each.quantity, each.index): each.values for each in measured if each.index is not None
    }
    windows = spec.windows() if isinstance(spec, ForkSpec) else [None]
    for window in windows:
        end = None if window is None else window[-1]
        yield MeasuredExcursion(
            by.statistic_id,
            by.name,
            learning_rate=spec.learning_rate or default.learning_rate,
            sampler=spec.sampler,
            bn_mode=spec.bn_mode,
            steps=window,
            num_steps=spec.num_steps if window is None else window[-1],
            is_longest=window is windows[-1],
            values=_values([each for each in measured if each.index == end]),
            indexed=indexed,
            num_unstable=by.num_unstable,
        )


def _measured(series: Sequence[Series], bn_mode: str, *, objective: str = "total") -> list[Series]:
    place = (bn_mode, "train", objective)
    return [each for each in series if (each.bn_mode, each.split, each.objective) == place]


def _values(series: Sequence[Series]) -> dict[str, SeedValues]:
    return {each.quantity: each.values for each in series}
