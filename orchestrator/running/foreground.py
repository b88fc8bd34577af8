"""Work done here and now, without Ray, and two stores compared value by value."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from orchestrator.liveness.claims import dead_rivals
from orchestrator.liveness.run_control import RunControl
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, Prepared
from orchestrator.running.tasks import make_tasks
from orchestrator.slots.child import ForkServerLost
from orchestrator.slots.slot import Slot
from orchestrator.slots.task import SlotResult, SlotTask
from workers.contract.errors import user_error
from workers.contract.lacking import Missing
from workers.contract.plan_document import PlanDocument
from workers.contract.store import Store
from workers.contract.store_place import check_writable

_NOT_COMPARED = {
    "attempt_id",
    "wall_seconds",
    "seconds",
    "device_share",
    "host",
    "started_at",
    "finished_at",
    "spec",
    "code_digest",
    "environment",
    "python_version",
    "code_version",
    "code_commit",
}

_ORDER: dict[str, tuple[str, ...]] = {
    "trials": (),
    "epochs": ("epoch",),
    "measurements": ("statistic_id", "quantity", "layer", "split", "objective", "index"),
    "spectra": ("statistic_id", "kind", "draw", "node"),
}
"""What is compared, and the columns that bring the rows of both stores into one order."""


@dataclass(frozen=True)
class Difference:
    """A value that came out otherwise the second time."""

    trial_id: str
    view: str
    column: str
    first: object
    second: object


@dataclass(frozen=True)
class DoneHere:
    """What came of one trial's work, and the plan as it was published before it began."""

    result: SlotResult
    plan: PlanDocument


@dataclass(frozen=True)
class TrialChoice:
    """Which trial of a grid is meant: by its cell and seed, or by its place in the plan, from 0.

    Raises:
        UserError: It is said in neither way, or in both.
    """

    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        cell = {
            "--batch-size": self.batch_size,
            "--learning-rate": self.learning_rate,
            "--seed": self.seed,
        }
        lacking = [name for name, value in cell.items() if value is None]
        mend = f"name the trial by {', '.join(cell)}, or by its place in the plan: --index"
        if self.index is None and lacking:
            raise user_error("the trial is not named", where=", ".join(lacking), mend=mend)
        if self.index is not None and len(lacking) < len(cell):
            raise user_error("the trial is named twice", where="--index", mend=mend)


def choose_trial(prepared: Prepared, choice: TrialChoice) -> Missing:
    """Find one trial of the grid; in the plan seeds stand together, cells in the order of the sweep.

    Raises:
        UserError: The grid does not hold it.
    """
    if choice.index is not None:
        return _trial_at(prepared, choice.index)
    wanted = choice.batch_size, choice.learning_rate, choice.seed
    for item in prepared.missing:
        trial = item.planned.trial
        if (trial.batch_size, trial.learning_rate, trial.seed) == wanted:
            return item
    cells = ", ".join(f"({size}, {rate:g})" for size, rate in prepared.sweep.cells)
    raise user_error(
        f"no trial with {trial_text(*wanted)}",
        where="--batch-size, --learning-rate, --seed",
        mend=f"cells (batch size, learning rate): {cells}; seeds: {prepared.sweep.seed_list}",
    )


def trial_text(batch_size: int | None, learning_rate: float | None, seed: int | None) -> str:
    """Name a trial as its options do."""
    return f"batch size {batch_size}, learning rate {learning_rate:g}, seed {seed}"


def _trial_at(prepared: Prepared, index: int) -> Missing:
    number = len(prepared.missing)
    if not 0 <= index < number:
        raise user_error(
            f"no trial {index} in a plan of {number}",
            where="--index",
            mend=f"give 0 to {number - 1}; of a job array: --array=0-{number - 1}",
        )
    return prepared.missing[index]


def run_here(prepared: Prepared, chosen: Missing, options: Options) -> DoneHere:
    """Do one trial's missing work in the foreground; it commits like any other.

    Raises:
        UserError: The store cannot be written, or TensorFlow does not start.
    """
    check_writable(prepared.store)
    control = RunControl(prepared.store, prepared.plan.sweep)
    task = make_tasks(prepared, options, control.run_id, [chosen])[0]
    own_slot = Slot(is_stopping=lambda: control.is_stopping)
    with contextlib.closing(own_slot) as slot, control.listening():
        start(slot, task)
        plan = publish_plan(prepared.store, prepared.plan)
        result = run_on(task, slot)
        if result.status == "elsewhere":
            dead = dead_rivals(
                prepared.store, task.trial_id, control.run_id, lambda: control.is_stopping
            )
            if dead is not None:
                result = run_on(task.model_copy(update={"presumed_dead": sorted(dead)}), slot)
        return DoneHere(result, plan)


def start(slot: Slot, task: SlotTask) -> None:
    """Start what forks the task's attempts, before anything is written.

    Raises:
        UserError: It does not start here; with the last words of what it imports.
    """
    try:
        slot.start(task)
    except ForkServerLost as lost:
        raise user_error(
            f"the process that trains does not start: {str(lost).splitlines()[-1]}",
            where="this machine",
            mend="`minima doctor` tells what is missing",
        ) from lost


def compare(
    first: Store, second: Store, trial_id: str, statistic_ids: Collection[str] | None = None
) -> list[Difference]:
    """Compare the records of one trial in two stores, times and host aside.

    Args:
        first: The store that holds the trial.
        second: The store that holds it again.
        trial_id: Which one.
        statistic_ids: Statistics to compare, all when None; others may have asked more of the trial.
    """
    found = []
    for view in _ORDER:
        left, right = (
            [row for row in _rows(store, view, trial_id) if _is_asked(row, statistic_ids)]
            for store in (first, second)
        )
        if len(left) != len(right):
            found.append(Difference(trial_id, view, "number of rows", len(left), len(right)))
            continue  # rows would not pair
        for row, other in zip(left, right, strict=False):
            found += [
                Difference(trial_id, view, column, value, other[column])
                for column, value in row.items()
                if column not in _NOT_COMPARED and not _is_same(value, other[column])
            ]
    return found


def _rows(store: Store, view: str, trial_id: str) -> list[dict[str, object]]:
    table: pa.Table = store.read(view)
    rows = [row for row in table.to_pylist() if row["trial_id"] == trial_id]
    return sorted(rows, key=lambda row: [str(row[column]) for column in _ORDER[view]])


def _is_asked(row: dict[str, object], statistic_ids: Collection[str] | None) -> bool:
    return statistic_ids is None or row.get("statistic_id") in {None, *statistic_ids}


def _is_same(first: object, second: object) -> bool:
    return first == second or (first != first and second != second)  # noqa: PLR0124  # NaN


def run_on(task: SlotTask, slot: Slot) -> SlotResult:
    """Do a task on a slot of this process, with the GPUs that are visible to it."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if task.device_share else "-1"
    return slot.run(task, devices)
