"""What is done and what is missing in each cell, counted by seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from analysis.records.cell import Cell, cells_of, groups_by_cell
from analysis.records.load import SweepData
from analysis.records.once import once
from workers.contract.failure_classes import WorkName, given_up_work
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM, Facts, Missing, lacking


@dataclass(frozen=True)
class CellState:
    """Seeds of one cell; one seed may be counted in several numbers.

    Attributes:
        num_seeds: Planned seeds.
        num_missing: Not trained, or a planned statistic is not committed.
        num_failed: Of the missing, those whose missing piece was given up.
        num_diverged: Trained, with outcome `diverged` or `nonfinite`.
        num_train: N; None before the first trial is done.
        environment_ids: Those of the trained trials, distinct and sorted.
        final_learning_rate: η in the last epoch of the schedule.
        earlier: Statistics that only an earlier numerics version measured, in one seed or more.
        open_seeds: The missing seeds, each with what it lacks: `training`, names of statistics.
        num_open_diverged: Of the diverged, those that are missing too: a divergence not yet recorded for
            every statistic.
    """

    num_seeds: int
    num_missing: int
    num_failed: int
    num_diverged: int
    num_train: int | None
    environment_ids: tuple[str, ...]
    final_learning_rate: float
    earlier: tuple[str, ...] = ()
    open_seeds: tuple[tuple[int, tuple[str, ...]], ...] = ()
    num_open_diverged: int = 0

    @property
    def num_done(self) -> int:
        """Seeds trained to their end, none that diverged, with all statistics committed."""
        return self.num_seeds - self.num_missing - (self.num_diverged - self.num_open_diverged)

    @property
    def is_complete(self) -> bool:
        """Whether every planned seed is trained, with all statistics committed; none diverged."""
        return self.num_missing == 0 and self.num_diverged == 0

    @property
    def num_merely_missing(self) -> int:
        """Missing seeds that neither failed nor diverged."""
        return max(0, self.num_missing - self.num_failed - self.num_open_diverged)

    @property
    def sentence(self) -> str:
        """What is missing, in words, a seed counted once unless it failed after it diverged; empty when nothing is."""
        parts = [
            f"{count} of {self.num_seeds} seeds {what}"
            for count, what in (
                (self.num_merely_missing, "missing"),
                (self.num_failed, "failed"),
                (self.num_diverged, "diverged"),
            )
            if count
        ]
        return ", ".join(parts)

    @property
    def lacking(self) -> str:
        """Which seeds lack what: `seed 1: training; seed 2: losses`; empty when nothing is missing."""
        by_lack: dict[tuple[str, ...], list[int]] = {}
        for seed, lacks in self.open_seeds:
            by_lack.setdefault(lacks, []).append(seed)
        return "; ".join(
            f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {', '.join(lacks)}"
            for lacks, seeds in by_lack.items()
        )


@once
def cell_states(data: SweepData) -> dict[Cell, CellState]:
    """Count what is done in every planned cell."""
    planned: dict[Cell, list[Missing]] = {}
    cell_of = dict(zip(data.planned["trial_id"].tolist(), cells_of(data.planned), strict=True))
    for item in missing_work(data):
        planned.setdefault(cell_of[item.planned.trial_id], []).append(item)
    trained: dict[Cell, list[_Trained]] = {}
    for trial in map(_Trained._make, data.trials[[*_Trained._fields]].itertuples(index=False)):
        trained.setdefault(cell_of[trial.trial_id], []).append(trial)
    by_earlier = data.measurements[data.measurements["is_earlier"].astype(bool)]
    earlier = {
        cell: tuple(sorted(rows["statistic"].unique())) for cell, rows in groups_by_cell(by_earlier)
    }
    return {
        cell: _state(planned[cell], trained.get(cell, []), earlier.get(cell, ()))
        for cell in sorted(planned)
    }


class _Trained(NamedTuple):
    """What counts of the record of a trial."""

    trial_id: str
    outcome: str
    num_train: int
    environment_id: str


def _state(
    planned: Sequence[Missing], trained: Sequence[_Trained], earlier: tuple[str, ...]
) -> CellState:
    open_trials = [item for item in planned if not item.is_done]
    lost = {trial.trial_id for trial in trained if trial.outcome in OUTCOMES_WITHOUT_MINIMUM}
    return CellState(
        num_seeds=len(planned),
        num_missing=len(open_trials),
        num_failed=sum(item.is_given_up for item in open_trials),
        num_diverged=len(lost),
        num_train=trained[0].num_train if trained else None,
        environment_ids=tuple(sorted({trial.environment_id for trial in trained})),
        final_learning_rate=planned[0].planned.trial.final_learning_rate,
        earlier=earlier,
        open_seeds=tuple((item.planned.trial.seed, item.lacks) for item in open_trials),
        num_open_diverged=len(lost & {item.planned.trial_id for item in open_trials}),
    )


def missing_work(data: SweepData) -> list[Missing]:
    """Compare every planned trial with the records, in the plan's order."""
    return lacking(data.plan, _facts_of(data))


def _facts_of(data: SweepData) -> Facts:
    outcomes = data.trials[["trial_id", "outcome"]].itertuples(index=False)
    measured = data.measurements[["trial_id", "statistic_id"]].drop_duplicates()
    return Facts(
        dict(outcomes),
        data.with_model,
        frozenset(measured.itertuples(index=False, name=None)),
        given_up_work(_failures(data.failures)),
    )


def _failures(rows: pd.DataFrame) -> Iterator[tuple[WorkName, str]]:
    """Return of each failure its work and its class."""
    columns = rows[["trial_id", "statistic_id", "failure_class"]]
    for trial_id, statistic_id, failure_class in columns.itertuples(index=False, name=None):
        yield (trial_id, None if pd.isna(statistic_id) else statistic_id), failure_class
