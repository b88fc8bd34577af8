"""What a plan would take: time and cost, per cell and in all; and which nodes fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from orchestrator.machine.whole_table import WholeTable
from orchestrator.monitor.status import (
    CellStatus,
    PlanCell,
    SweepStatus,
    cell_of,
    failure_groups,
    known,
    status_document,
    status_of,
    with_time_left,
)
from orchestrator.monitor.tables import (
    cell_texts,
    cells_title,
    is_open,
    shown_cells,
    time_left,
)
from orchestrator.planning.estimate import duration
from orchestrator.planning.fit import Node, demand_text, node_texts
from orchestrator.planning.prepare import Prepared
from workers.contract.registry import DATASETS
from workers.contract.sweep_spec import ResourcesSpec

COLUMNS_NOTE = (
    "done: nothing is missing; to measure: trained, statistics are missing; failed: given up, and tried "
    "again by the next run; left: time until the cell's last trial is done, all cells sharing the slots; "
    "{unit}: work times what it holds, whatever runs at once."
)


@dataclass(frozen=True)
class PlanReport:
    """A plan compared with its store and nodes.

    Attributes:
        slots: How many trials the nodes hold at once.
        status: Cells with the time until their last trial is done, if the run started now.
        seconds: Time each open trial takes alone, by its id; NaN when unknown.
        cell_costs: Cost of each cell's open trials, in `unit`; NaN when unknown.
    """

    prepared: Prepared
    nodes: Sequence[Node]
    slots: int
    status: SweepStatus
    seconds: dict[str, float]
    cell_costs: dict[PlanCell, float]

    @property
    def fits(self) -> bool:
        """Whether some node holds a trial; all trials of a sweep ask for the same."""
        return self.slots > 0

    @property
    def unit(self) -> str:
        """The unit of the cost."""
        return cost_unit(self.prepared.sweep.resources)

    @property
    def cost(self) -> float:
        """The hours of all open work times the GPUs, or share of one, else cores, of a trial."""
        return self.cost_beside([])

    def cost_beside(self, shown: Sequence[CellStatus]) -> float:
        """Return the hours of all open work of other cells than these."""
        named = {(cell.batch_size, cell.learning_rate) for cell in shown}
        return sum(cost for cell, cost in self.cell_costs.items() if cell not in named)


def plan_report(prepared: Prepared, nodes: Sequence[Node]) -> PlanReport:
    """Estimate the time and cost of what is missing, on these nodes; what diverged or failed before is told too."""
    slots = sum(node.slots_for(prepared.sweep.resources) for node in nodes)
    state, missing = prepared.state, prepared.missing
    counted = status_of(prepared.plan, missing, [], state.outcomes)
    counted = replace(counted, failures=failure_groups(missing, state))
    status = with_time_left(counted, missing, prepared.estimator, slots)
    seconds = {
        item.planned.trial_id: prepared.estimator.seconds(item) for item in prepared.open_work
    }
    held, costs = _held(prepared.sweep.resources), dict[PlanCell, float]()
    for item in prepared.open_work:
        hours_held = held * seconds[item.planned.trial_id] / 3600
        costs[cell_of(item)] = costs.get(cell_of(item), 0.0) + hours_held
    return PlanReport(prepared, nodes, slots, status, seconds, costs)


def plan_table(report: PlanReport) -> Table:
    """Tabulate trials by state, time and cost, one row per cell."""
    shown, others = shown_cells(report.status.cells)
    table = WholeTable(title=cells_title(report.status, shown, others))
    names = ("done", "to\nmeasure", "to\ntrain", "failed", "left", report.unit)
    for heading in ("batch\nsize", "learning\nrate", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    rest = report.cost_beside(shown)
    for cell in [*shown, *others]:
        counts = (cell.done, cell.to_measure, cell.to_train, cell.failed)
        cost = report.cell_costs.get((cell.batch_size, cell.learning_rate), rest)
        table.add_row(
            *cell_texts(cell, others),
            *(str(count) if count else "·" for count in counts),
            duration(cell.seconds_left) if is_open(cell) else "·",
            hours(cost) if is_open(cell) else "·",
        )
    return table


def nodes_table(report: PlanReport) -> Table:
    """Tabulate the nodes, and how many trials each holds at once."""
    resources = report.prepared.sweep.resources
    table = WholeTable(title=f"a trial holds {demand_text(resources)}")
    table.add_column("node")
    has = [node_texts(node, resources) for node in report.nodes]
    for heading in (*has[0], "trials at once", "fits"):
        table.add_column(heading, justify="right")
    for node, texts in zip(report.nodes, has, strict=True):
        slots = node.slots_for(resources)
        counts = (f"{slots}", "yes" if slots else "no")
        table.add_row(Text(node.name), *(Text(each) for each in texts.values()), *counts)
    return table


def data_line(prepared: Prepared) -> str:
    """Return how many examples are used, and where the data are not what their name says."""
    data, whole, name = prepared.data, prepared.whole_data, prepared.sweep.dataset.name
    line = f"data: {data.num_train:,} training and {data.num_test:,} test examples of {name}"
    official = DATASETS[name].official_facts if name in DATASETS else None
    if official is None:
        return line
    held, wanted = (f"{each.num_train:,} and {each.num_test:,}" for each in (whole, official))
    told = f"; not the whole of {name}: its files hold {held} examples, not {wanted}"
    return line if held == wanted else f"{line}{told}"


def summary_line(report: PlanReport) -> str:
    """Return time, cost, and what both rest on, in one line."""
    estimator = report.prepared.estimator
    cost = report.cost
    parts = [f"{hours(cost)} {report.unit}" if math.isfinite(cost) else "cost unknown"]
    if report.fits:
        left = time_left(report.status.seconds_left)
        parts = [f"{report.slots} trials at once; {left}", *parts]
    return f"{', '.join(parts)}, {estimator.source}"


def cost_unit(resources: ResourcesSpec) -> str:
    """Return the unit of the cost of trials that hold these."""
    return "GPU-hours" if resources.gpus else "core-hours"


def hours(value: float) -> str:
    """Format hours of cost with two digits or more."""
    if not math.isfinite(value):
        return "unknown"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def plan_document(report: PlanReport) -> dict[str, JsonValue]:
    """Return the plan as JSON; what is unknown is null."""
    prepared, estimator = report.prepared, report.prepared.estimator
    left = report.status.seconds_left
    document = status_document(report.status)
    return document | {
        "cells": [
            counts
            | {
                "cost_hours": known(
                    report.cell_costs.get((cell.batch_size, cell.learning_rate), 0.0)
                )
            }
            for cell, counts in zip(report.status.cells, _cells_of(document), strict=True)
        ],
        "fits": report.fits,
        "slots": report.slots,
        "num_train": prepared.data.num_train,
        "num_test": prepared.data.num_test,
        "seconds_left": known(left) if report.fits else None,
        "cost": {"unit": report.unit, "hours": known(report.cost)},
        "estimated_by": {
            "source": estimator.source,
            "num_recorded_trials": estimator.pace.num_trials,
        },
        "nodes": [
            {
                "name": node.name,
                "cpus": node.cpus,
                "gpus": node.gpus,
                "memory_bytes": node.memory,
                "accelerators": list[JsonValue](node.accelerators),
                "slots": node.slots_for(prepared.sweep.resources),
            }
            for node in report.nodes
        ],
        "trials": [
            {
                "trial_id": item.planned.trial_id,
                "state": item.state,
                "seconds": known(report.seconds.get(item.planned.trial_id, 0.0)),
                "fits": report.fits,
            }
            for item in prepared.missing
        ],
    }


def _cells_of(document: dict[str, JsonValue]) -> list[dict[str, JsonValue]]:
    cells = document["cells"]
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _held(resources: ResourcesSpec) -> float:
    return resources.gpus or float(resources.cpus)
