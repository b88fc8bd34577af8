"""What of a sweep is not finished: which seeds of which cells, what they lack, and the cure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from analysis.records.cell import Cell
from analysis.records.cell_states import missing_work
from analysis.records.load import SweepData
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM, Missing

Unfinished = Literal["missing", "failed", "diverged"]


@dataclass(frozen=True)
class OpenSeeds:
    """Seeds of one cell that lack the same.

    Attributes:
        cell: The cell.
        seeds: Ascending.
        state: `missing`; `failed` where what is missing was given up; `diverged` where there is
            no minimum to measure. A seed is counted once, under the last of these that holds.
        lacks: `training` and names of statistics; empty where a divergence is recorded whole.
    """

    cell: Cell
    seeds: tuple[int, ...]
    state: Unfinished
    lacks: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether another run would do anything about it."""
        return bool(self.lacks)


def unfinished(data: SweepData) -> list[OpenSeeds]:
    """List the seeds that are missing, failed or diverged, cells sorted, seeds alike together."""
    outcomes = dict(data.trials[["trial_id", "outcome"]].itertuples(index=False, name=None))
    found = [
        _of(item, state)
        for item in missing_work(data)
        if (state := _state(item, outcomes.get(item.planned.trial_id))) is not None
    ]
    found.sort(key=lambda each: (each.cell, each.state, each.lacks, each.seeds))
    alike = groupby(found, key=lambda each: (each.cell, each.state, each.lacks))
    return [OpenSeeds(cell, _seeds(group), state, lacks) for (cell, state, lacks), group in alike]


def _state(item: Missing, outcome: str | None) -> Unfinished | None:
    if outcome in OUTCOMES_WITHOUT_MINIMUM:
        return "diverged"
    if item.is_done:
        return None
    return "failed" if item.is_given_up else "missing"


def _of(item: Missing, state: Unfinished) -> OpenSeeds:
    trial = item.planned.trial
    cell = Cell(trial.loss, trial.batch_size, trial.learning_rate)
    return OpenSeeds(cell, (trial.seed,), state, item.lacks)


def _seeds(group: Iterable[OpenSeeds]) -> tuple[int, ...]:
    return tuple(seed for each in group for seed in each.seeds)
