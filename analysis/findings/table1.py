"""Table 1 of the paper, from the store: both traces in every cell, their ratio, and what the laws say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from analysis.laws.trace_law import TraceFormula
from analysis.mathematics.means import ratio_of_means
from analysis.mathematics.uncertain import Uncertain
from analysis.predictions import laws
from analysis.records.cell import Cell
from analysis.records.cell_states import CellState, cell_states
from analysis.records.cell_values import whole_model_values
from analysis.records.load import SweepData, load_sweep
from analysis.records.once import once
from analysis.records.paper_table1 import NUM_TRAIN, PaperRow, paper_row
from analysis.records.seed_values import SeedValues
from workers.contract.store import Store
from workers.datasets.cifar10 import Cifar10Spec
from workers.models.resnet import ResNetSpec

_NONE = Uncertain(math.nan, math.nan, 0)


@dataclass(frozen=True)
class Table1Row:
    """One cell; every estimate is per example (mean loss), its error over seeds.

    Attributes:
        cell: Loss, m and initial η.
        state: What is done of it; N and the final η.
        gradient_noise_trace: tr σ².
        hessian_trace: tr H of the data objective.
        num_measured: Seeds with both traces.
        magnitude_difference: Ratio of the seed means, tr σ²/tr H, with a paired-seed error.
        law_difference: The same with tr H of the total objective, L2 included, of which laws speak.
        paper: The printed row of this cell, when the sweep has the paper's setting.
    """

    cell: Cell
    state: CellState
    gradient_noise_trace: Uncertain
    hessian_trace: Uncertain
    num_measured: int
    magnitude_difference: Uncertain
    law_difference: Uncertain
    paper: PaperRow | None

    @property
    def traces(self) -> dict[str, Uncertain]:
        """Both by the name of their quantity."""
        return {
            "gradient_noise_trace": self.gradient_noise_trace,
            "hessian_trace": self.hessian_trace,
        }

    def summed(self, estimate: Uncertain) -> Uncertain:
        """Turn a mean over examples into the sum over all N, the paper's convention."""
        num_train = self.state.num_train
        return _NONE if num_train is None else estimate.scaled(num_train)


@dataclass(frozen=True)
class Table1:
    """All cells of a sweep.

    Attributes:
        sweep: Its name.
        revision: Of its plan.
        is_paper_setting: ResNet-56, CIFAR-10 whole, Kullback-Leibler loss.
        rows: In the order of batch size, then learning rate, as printed.
    """

    sweep: str
    revision: str
    is_paper_setting: bool
    rows: tuple[Table1Row, ...]


def table1(store: Store, sweep: str) -> Table1:
    """Build Table 1 of a sweep's current plan.

    Raises:
        UserError: There is no such sweep in the store.
    """
    return build_table1(load_sweep(store, sweep))


@once
def build_table1(data: SweepData) -> Table1:
    """Build Table 1: data objective, training split, frozen batch normalisation, whole model."""
    is_paper_setting = has_paper_setting(data)
    noise = whole_model_values(data, "gradient_noise_trace")
    hessian = whole_model_values(data, "hessian_trace")
    has_decay = any(item.trial.training.weight_decay for item in data.plan.trials)
    total = whole_model_values(data, "hessian_trace", objective="total") if has_decay else hessian
    rows = []
    for cell, state in cell_states(data).items():
        paper = paper_row(cell.batch_size, cell.learning_rate) if is_paper_setting else None
        values = (noise.get(cell), hessian.get(cell), total.get(cell))
        rows.append(_row(cell, state, values, paper))
    return Table1(data.plan.sweep, data.plan.revision, is_paper_setting, tuple(rows))


def has_paper_setting(data: SweepData) -> bool:
    """Whether every planned trial is ResNet-56 on all of CIFAR-10 with the loss `kld`."""
    return bool(data.plan.trials) and all(
        isinstance(trial.model, ResNetSpec)
        and trial.model.depth == 56
        and isinstance(trial.dataset, Cifar10Spec)
        and trial.dataset.num_train in (None, NUM_TRAIN)
        and trial.loss == "kld"
        for trial in (item.trial for item in data.plan.trials)
    )


def _row(
    cell: Cell,
    state: CellState,
    values: tuple[SeedValues | None, SeedValues | None, SeedValues | None],
    paper: PaperRow | None,
) -> Table1Row:
    noise, hessian, total = values
    return Table1Row(
        cell=cell,
        state=state,
        gradient_noise_trace=noise.estimate if noise else _NONE,
        hessian_trace=hessian.estimate if hessian else _NONE,
        num_measured=len(_shared_seeds(noise, hessian)),
        magnitude_difference=_ratio(noise, hessian),
        law_difference=_ratio(noise, total),
        paper=paper,
    )


def _ratio(noise: SeedValues | None, hessian: SeedValues | None) -> Uncertain:
    """Divide the means over the seeds that have both."""
    if noise is None or hessian is None:
        return _NONE
    seeds = _shared_seeds(noise, hessian)
    return ratio_of_means(
        [noise.by_seed[seed] for seed in seeds], [hessian.by_seed[seed] for seed in seeds]
    )


def _shared_seeds(one: SeedValues | None, other: SeedValues | None) -> list[int]:
    return sorted(set(one.by_seed) & set(other.by_seed)) if one and other else []


@dataclass(frozen=True)
class LawColumn:
    """What a law makes of one of the two traces, at one of the two learning rates.

    Attributes:
        law: Its name.
        formula: What it makes of the trace.
        rate: At the `initial` learning rate of a trial, or the `final` one of its schedule.
    """

    law: str
    formula: TraceFormula
    rate: Literal["initial", "final"]

    @property
    def name(self) -> str:
        """Of the column in files."""
        return f"{self.law}_{self.rate}"

    def of(self, row: Table1Row) -> Uncertain:
        """Compute the excess loss of a cell, per example."""
        is_initial = self.rate == "initial"
        learning_rate = row.cell.learning_rate if is_initial else row.state.final_learning_rate
        factor = self.formula.factor(learning_rate, row.cell.batch_size)
        return row.traces[self.formula.quantity].scaled(factor)


def law_columns() -> list[LawColumn]:
    """List the columns of the laws that give the excess loss from tr σ² or tr H alone."""
    return [
        LawColumn(law.name, law.formula, rate)
        for law in laws().values()
        if law.formula is not None
        and law.formula.quantity in ("gradient_noise_trace", "hessian_trace")
        and law.targets == ("excess_loss",)
        for rate in _RATES
    ]


_RATES: tuple[Literal["initial", "final"], ...] = ("initial", "final")
