"""The state of a sweep from the store alone: per cell, and what runs now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from orchestrator.missing import Missing, missing_of, read_state
from workers.contract.errors import StoreError
from workers.contract.orders import Heartbeat
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store

_SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class CellStatus:
    """One cell's trials by state."""

    batch_size: int
    learning_rate: float
    done: int
    running: int
    to_measure: int
    to_train: int
    failed: int


@dataclass(frozen=True)
class SweepStatus:
    """A sweep's state, by cell, with the attempts that live."""

    sweep: str
    revision: str
    cells: list[CellStatus]
    running: list[Heartbeat]

    @property
    def num_trials(self) -> int:
        """Trials of the plan."""
        return sum(c.done + c.running + c.to_measure + c.to_train + c.failed for c in self.cells)

    @property
    def num_done(self) -> int:
        """Trials with nothing missing."""
        return sum(cell.done for cell in self.cells)


def sweep_status(store: Store, plan: PlanDocument, now: datetime) -> SweepStatus:
    """Compare the plan with the store; an attempt silent for a minute does not run."""
    missing = missing_of(plan, read_state(store))
    open_trials = {item.planned.trial_id for item in missing if not item.is_done}
    running = live_heartbeats(store, open_trials, now)
    return status_of(plan, missing, running)


def status_of(plan: PlanDocument, missing: list[Missing], running: list[Heartbeat]) -> SweepStatus:
    """Count the trials of each cell by state."""
    live = {heartbeat.trial_id for heartbeat in running}
    counts: dict[tuple[int, float], dict[str, int]] = {}
    for item in missing:
        trial = item.planned.trial
        cell = counts.setdefault((trial.batch_size, trial.learning_rate), {})
        state = "running" if item.planned.trial_id in live and not item.is_done else item.state
        cell[state] = cell.get(state, 0) + 1
    names = ("done", "running", "to_measure", "to_train", "failed")
    cells = [
        CellStatus(size, rate, **{name: count.get(name, 0) for name in names})
        for (size, rate), count in counts.items()
    ]
    return SweepStatus(plan.sweep, plan.revision, cells, running)


def live_heartbeats(store: Store, trial_ids: set[str], now: datetime) -> list[Heartbeat]:
    """Read the heartbeats of attempts at these trials that are running and not silent."""
    found = []
    for path in store.names("attempts"):
        if path.rsplit("/", 1)[-1].split(".")[0] not in trial_ids:
            continue
        heartbeat = _read(store, path)
        if heartbeat and heartbeat.state == "running" and not _is_silent(heartbeat, now):
            found.append(heartbeat)
    return found


def _read(store: Store, path: str) -> Heartbeat | None:
    try:
        return Heartbeat.model_validate(store.read_json(path))
    except (ValueError, StoreError):
        return None


def _is_silent(heartbeat: Heartbeat, now: datetime) -> bool:
    return now.astimezone(UTC) - datetime.fromisoformat(heartbeat.beat_at) > _SILENT_AFTER


def status_document(state: SweepStatus) -> dict[str, JsonValue]:
    """Give the state as JSON."""
    return {
        "sweep": state.sweep,
        "revision": state.revision,
        "num_trials": state.num_trials,
        "num_done": state.num_done,
        "cells": [asdict(cell) for cell in state.cells],
        "running": [beat.model_dump(mode="json") for beat in state.running],
    }


def open_failures(
    store: Store, plan: PlanDocument, state: SweepStatus
) -> list[dict[str, JsonValue]]:
    """Group the failures of trials that are still not done by signature."""
    if state.num_done == state.num_trials:
        return []
    left = {i.planned.trial_id for i in missing_of(plan, read_state(store)) if not i.is_done}
    groups: dict[tuple[str, str], dict[str, JsonValue]] = {}
    for row in store.read("failures").to_pylist():
        if row["trial_id"] in left:
            key = (row["failure_class"], row["signature"])
            group = groups.setdefault(
                key, {"failure_class": key[0], "signature": key[1], "count": 0}
            )
            group |= {
                "count": int(str(group["count"])) + 1,
                "message": row["message"],
                "log_path": row["log_path"],
            }
    return list(groups.values())
