"""The state of a sweep from the store alone: per cell, what runs, how fast, and the time left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from pydantic import JsonValue

from orchestrator.liveness.heartbeats import HeartbeatReader
from orchestrator.monitor.device_use import device_use, share_held
from orchestrator.monitor.throughput import Throughput, as_asked, runs_began, throughput
from orchestrator.monitor.time_left import finish_times, with_live_pace
from orchestrator.planning.estimate import Estimator, store_estimator
from orchestrator.planning.recorded_pace import recorded_pace
from orchestrator.planning.store_state import FailedAttempt, StoreReader, StoreState, read_state
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM, Missing, lacking
from workers.contract.orders import Heartbeat
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store

PlanCell = tuple[int, float]
"""Batch size and learning rate of trials that differ by their seed."""

FailureGroup = dict[str, JsonValue]
"""Failures of one class and signature: their number, the last message and log, the hosts."""


@dataclass(frozen=True)
class CellStatus:
    """One cell's trials by state.

    Attributes:
        furthest_epoch: Of its live trainings, from 1; None when none has reported.
        epochs: Epochs that its trials are trained for.
        seconds_left: Until its last trial is done; NaN or infinite when that is unknown.
        diverged: Trials whose training diverged or left the numbers; they count as done.
    """

    batch_size: int
    learning_rate: float
    done: int
    running: int
    to_measure: int
    to_train: int
    failed: int
    furthest_epoch: int | None = None
    epochs: int | None = None
    seconds_left: float = math.nan
    diverged: int = 0


@dataclass(frozen=True)
class SweepStatus:
    """The state of a sweep by cell, with its live attempts.

    Attributes:
        silent: Attempts that say they run and show no sign of life.
        seconds_left: Until the last trial is done; NaN or infinite when that is unknown.
        failures: Of work that is still missing, grouped by signature.
        trial_cells: The cell of each trial.
    """

    sweep: str
    revision: str
    cells: list[CellStatus]
    running: list[Heartbeat]
    silent: list[Heartbeat] = field(default_factory=list)
    seconds_left: float = math.nan
    throughput: Throughput | None = None
    failures: list[FailureGroup] = field(default_factory=list)
    trial_cells: Mapping[str, PlanCell] = field(default_factory=dict)

    @property
    def num_trials(self) -> int:
        """Number of trials in the plan."""
        return sum(c.done + c.running + c.to_measure + c.to_train + c.failed for c in self.cells)

    @property
    def num_done(self) -> int:
        """Number of trials with nothing missing."""
        return sum(cell.done for cell in self.cells)


class StatusReader:
    """Reader of the sweeps of one store; each look after the first reads only what is new."""

    def __init__(self, store: Store, records: StoreReader | None = None) -> None:
        """Read with a reader that may know the store's records already."""
        self._store = store
        self._records = records or StoreReader(store)
        self._heartbeats: dict[str, HeartbeatReader] = {}

    def look(self, plan: PlanDocument, now: datetime) -> SweepStatus:
        """Compare the plan with the store.

        Raises:
            StoreError: The store cannot be read.
        """
        state = self._records.look()
        missing = lacking(plan, state)
        reader = self._heartbeats.setdefault(plan.sweep, HeartbeatReader(self._store))
        open_trials = {item.planned.trial_id for item in missing if not item.is_done}
        beats = reader.look(open_trials, now)
        pace = with_live_pace(recorded_pace(plan, state), plan, beats.live)
        status = status_of(plan, missing, beats.live, state.outcomes)
        num_slots = len({beat.trial_id for beat in beats.live})
        status = with_time_left(
            status, missing, store_estimator(plan, pace, _num_train(plan, state)), num_slots
        )
        began = runs_began(self._store, plan.sweep, beats.live)
        return replace(
            status,
            silent=beats.silent,
            throughput=throughput(missing, as_asked(plan, state), beats.live, now, began),
            failures=failure_groups(missing, state),
        )


def sweep_status(
    store: Store, plan: PlanDocument, now: datetime, records: StoreReader | None = None
) -> SweepStatus:
    """Compare the plan with the store at a single look."""
    return StatusReader(store, records).look(plan, now)


def status_of(
    plan: PlanDocument,
    missing: list[Missing],
    running: list[Heartbeat],
    outcomes: Mapping[str, str] = MappingProxyType({}),
) -> SweepStatus:
    """Count the trials of each cell by state, and those whose recorded outcome has no minimum."""
    live = {heartbeat.trial_id for heartbeat in running}
    counts: dict[PlanCell, dict[str, int]] = {}
    for item in missing:
        cell = counts.setdefault(cell_of(item), {})
        state = "running" if item.planned.trial_id in live and not item.is_done else item.state
        cell[state] = cell.get(state, 0) + 1
        is_lost = outcomes.get(item.planned.trial_id) in OUTCOMES_WITHOUT_MINIMUM
        cell["diverged"] = cell.get("diverged", 0) + is_lost
    names = ("done", "running", "to_measure", "to_train", "failed", "diverged")
    epochs = _furthest_epochs(missing, running)
    cells = [
        CellStatus(
            *cell,
            **{name: count.get(name, 0) for name in names},
            furthest_epoch=epochs.get(cell),
            epochs=plan.trials[0].trial.training.epochs,
        )
        for cell, count in counts.items()
    ]
    of_trials = {item.planned.trial_id: cell_of(item) for item in missing}
    return SweepStatus(plan.sweep, plan.revision, cells, running, trial_cells=of_trials)


def with_time_left(
    status: SweepStatus, missing: Sequence[Missing], estimator: Estimator, num_slots: int
) -> SweepStatus:
    """Add the time until each cell, and the whole sweep, is done."""
    ends = finish_times(missing, status.running, estimator, num_slots)
    by_cell: dict[PlanCell, list[float]] = {}
    for item in missing:
        if not item.is_done:
            by_cell.setdefault(cell_of(item), []).append(ends[item.planned.trial_id])
    cells = [
        replace(cell, seconds_left=latest(by_cell.get((cell.batch_size, cell.learning_rate), [])))
        for cell in status.cells
    ]
    return replace(status, cells=cells, seconds_left=latest(list(ends.values())))


def failure_groups(missing: Sequence[Missing], state: StoreState) -> list[FailureGroup]:
    """Group the failures of work that is still missing by signature."""
    left = {work for item in missing for work in item.work}
    groups: dict[tuple[str, str], list[FailedAttempt]] = {}
    for failure in state.failures:
        if failure.work in left:
            groups.setdefault((failure.failure_class, failure.signature), []).append(failure)
    return [
        {
            "failure_class": failure_class,
            "signature": signature,
            "count": len(found),
            "message": found[-1].message,
            "log_path": found[-1].log_path,
            "hosts": list[JsonValue](sorted({failure.host for failure in found})),
        }
        for (failure_class, signature), found in groups.items()
    ]


def open_failures(store: Store, plan: PlanDocument, state: SweepStatus) -> list[FailureGroup]:
    """Group the failures of work that is missing in the store now."""
    if state.num_done == state.num_trials:
        return []
    found = read_state(store)
    return failure_groups(lacking(plan, found), found)


def status_document(state: SweepStatus) -> dict[str, JsonValue]:
    """Return the state as JSON; what is unknown is null."""
    return {
        "sweep": state.sweep,
        "revision": state.revision,
        "num_trials": state.num_trials,
        "num_done": state.num_done,
        "seconds_left": known(state.seconds_left),
        "cells": [vars(cell) | {"seconds_left": known(cell.seconds_left)} for cell in state.cells],
        "running": [beat.model_dump(mode="json") for beat in state.running],
        "silent": [beat.model_dump(mode="json") for beat in state.silent],
        "throughput": None if state.throughput is None else asdict(state.throughput),
        "devices": [
            {
                "host": use.host,
                "device": use.device,
                "share": use.share,
                "attempts": [
                    {
                        "trial_id": beat.trial_id,
                        "attempt_id": beat.attempt_id,
                        "share": share_held(beat),
                        "statistic": beat.statistic,
                        "progress": beat.progress.model_dump(mode="json"),
                    }
                    for beat in use.attempts
                ],
            }
            for use in device_use(state.running)
        ],
        "failures": list[JsonValue](state.failures),
    }


def cell_of(item: Missing) -> PlanCell:
    """Return the cell of a trial."""
    return item.planned.trial.batch_size, item.planned.trial.learning_rate


def _num_train(plan: PlanDocument, state: StoreState) -> int:
    """Return how many examples trainings of the plan used, before any is recorded those of other plans; else 1."""
    own = (state.trials.get(item.trial_id) for item in plan.trials)
    used = next((trial.num_train for trial in own if trial is not None), None)
    if used is not None:
        return used
    return max((trial.num_train for trial in state.trials.values()), default=1)


def _furthest_epochs(
    missing: Sequence[Missing], running: Sequence[Heartbeat]
) -> dict[PlanCell, int]:
    cells = {item.planned.trial_id: cell_of(item) for item in missing}
    found: dict[PlanCell, int] = {}
    for beat in running:
        cell = cells.get(beat.trial_id)
        if cell is not None and beat.progress.epoch is not None:
            found[cell] = max(found.get(cell, 0), beat.progress.epoch + 1)
    return found


def latest(ends: Sequence[float]) -> float:
    """Return the last of some ends [s]; NaN where one is unknown, 0 without any."""
    if any(map(math.isnan, ends)):
        return math.nan
    return max(ends, default=0.0)


def known(value: float) -> float | None:
    """Return a number that JSON has; None for one that is infinite or not known."""
    return value if math.isfinite(value) else None
