"""What is done and what is missing in each cell, counted by seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analysis.records.load import Cell, SweepData, groups_by_cell
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM, Facts, Missing, lacking


@dataclass(frozen=True)
class CellState:
    """Seeds of one cell; one seed may be counted in several numbers.

    Attributes:
        num_seeds: Planned seeds.
        num_missing: Not trained, or a planned statistic is not committed.
        num_failed: Of the missing, those whose missing piece left a failure.
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
        """Seeds trained to a minimum, with all statistics committed."""
        return self.num_seeds - self.num_missing - (self.num_diverged - self.num_open_diverged)

    @property
    def is_complete(self) -> bool:
        """Whether every planned seed is trained, with all statistics committed; none diverged."""
        return self.num_missing == 0 and self.num_diverged == 0

    @property
    def sentence(self) -> str:
        """What is missing, in words, a seed counted once unless it failed after it diverged; empty when nothing is."""
        parts = [
            f"{count} of {self.num_seeds} seeds {what}"
            for count, what in (
                (max(0, self.num_missing - self.num_failed - self.num_open_diverged), "missing"),
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


def cell_states(data: SweepData) -> dict[Cell, CellState]:
    """Count what is done in every planned cell."""
    missing = {item.planned.trial_id: item for item in missing_work(data)}
    by_earlier = data.measurements[data.measurements["is_earlier"].astype(bool)]
    earlier = {
        cell: tuple(sorted(rows["statistic"].unique())) for cell, rows in groups_by_cell(by_earlier)
    }
    final_rates = {item.trial_id: item.trial.final_learning_rate for item in data.plan.trials}
    states: dict[Cell, CellState] = {}
    for cell, group in groups_by_cell(data.planned):
        trial_ids = [str(trial_id) for trial_id in group["trial_id"]]
        trained = data.trials[data.trials["trial_id"].isin(trial_ids)]
        open_trials = [missing[name] for name in trial_ids if not missing[name].is_done]
        states[cell] = CellState(
            num_seeds=len(trial_ids),
            num_missing=len(open_trials),
            num_failed=sum(item.has_failed for item in open_trials),
            num_diverged=len(_lost(trained)),
            num_train=None if trained.empty else int(trained["num_train"].iloc[0]),
            environment_ids=tuple(sorted(trained["environment_id"].unique())),
            final_learning_rate=final_rates[trial_ids[0]],
            earlier=earlier.get(cell, ()),
            open_seeds=tuple((item.planned.trial.seed, item.lacks) for item in open_trials),
            num_open_diverged=len(_lost(trained) & {i.planned.trial_id for i in open_trials}),
        )
    return states


def _lost(trained: pd.DataFrame) -> set[str]:
    """Return the ids of trials whose training ended at no minimum."""
    return set(trained["trial_id"][trained["outcome"].isin(OUTCOMES_WITHOUT_MINIMUM)])


def missing_work(data: SweepData) -> list[Missing]:
    """Compare every planned trial with the records, in the plan's order."""
    return lacking(data.plan, _facts_of(data))


def _facts_of(data: SweepData) -> Facts:
    outcomes = data.trials[["trial_id", "outcome"]].itertuples(index=False)
    failed = frozenset(
        (str(trial_id), None if pd.isna(statistic_id) else str(statistic_id))
        for trial_id, statistic_id in _pairs(data.failures)
    )
    return Facts(dict(outcomes), data.with_model, frozenset(_pairs(data.measurements)), failed)


def _pairs(frame: pd.DataFrame) -> Iterable[tuple[str, str]]:
    return frame[["trial_id", "statistic_id"]].itertuples(index=False, name=None)
