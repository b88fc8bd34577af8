"""Run a sweep: plan, skip what is done, train and measure the rest, and say how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from orchestrator.fit import Node
from orchestrator.plan import publish_plan
from orchestrator.preflight import check_nodes
from orchestrator.prepare import Options, Prepared, refuse_misfit
from orchestrator.progress import ProgressView
from orchestrator.ray_environment import prepare_environment
from orchestrator.run_control import RunControl
from orchestrator.scratch import scratch_folder
from orchestrator.task import SlotResult, SlotTask

if TYPE_CHECKING:
    from orchestrator.tune_driver import DriveResult


@dataclass(frozen=True)
class RunResult:
    """How a run ended, for the exit code and the summary."""

    results: list[SlotResult]
    lost: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0 all done, 3 drained or lost, 1 something failed."""
        statuses = {result.status for result in self.results}
        if self.lost or "drained" in statuses:
            return 3
        return 1 if "failed" in statuses else 0


def run(prepared: Prepared, options: Options, console: Console) -> RunResult:
    """Train and measure what is missing on Ray; the caller has seen that something is.

    Raises:
        UserError: No node can ever hold a trial, the store cannot be written, no cluster answers,
            or a node has other code, another store or other data.
    """
    with scratch_folder() as scratch:
        prepare_environment(options.address, scratch)
        from orchestrator import tune_driver  # Ray costs seconds; nothing before needs it

        with tune_driver.cluster(options.address, scratch) as nodes:
            refuse_misfit(prepared, nodes)
            prepared.store.check_writable()
            if options.address:  # a cluster of our own is this very machine
                check_nodes(prepared, options.data_dir, nodes, tune_driver.ask_nodes)
            control = RunControl(prepared.store, prepared.plan.sweep)
            publish_plan(prepared.store, prepared.plan)
            with control.listening():
                driven = _drive(prepared, options, nodes, control, (scratch, console))
                return RunResult(driven.results, driven.lost)


def nodes_at(address: str) -> list[Node]:
    """List the nodes of the cluster at an address.

    Raises:
        UserError: No cluster answers there.
    """
    with scratch_folder() as scratch:
        prepare_environment(address, scratch)
        from orchestrator import tune_driver

        with tune_driver.cluster(address, scratch) as nodes:
            return nodes


def make_tasks(prepared: Prepared, options: Options, run_id: str) -> list[SlotTask]:
    """Make a slot's task of every trial with something missing, longest first."""
    resources = prepared.sweep.resources
    return [
        SlotTask(
            sweep=prepared.plan.sweep,
            run_id=run_id,
            planned=item.planned,
            is_trained=item.is_trained,
            statistics=item.statistics,
            store=prepared.store.uri,
            data_dir=options.data_dir,
            num_threads=resources.cpus,
            device_share=resources.gpus,
            checkpoint_seconds=options.checkpoint_seconds,
            entry=options.entry,
        )
        for item in prepared.open_work
    ]


def _drive(
    prepared: Prepared,
    options: Options,
    nodes: Sequence[Node],
    control: RunControl,
    surroundings: tuple[Path, Console],
) -> DriveResult:
    from orchestrator import tune_driver

    scratch, console = surroundings
    resources = prepared.sweep.resources
    slots = sum(node.slots_for(resources) for node in nodes)
    tasks = make_tasks(prepared, options, control.run_id)
    with ProgressView(prepared, slots, console, is_stopping=lambda: control.is_stopping) as view:

        def watch() -> None:
            view.update()
            if options.is_fail_fast and view.num_failed > 0:
                control.ask_to_stop("fail-fast")

        return tune_driver.drive(tasks, resources, nodes, watch, scratch)
