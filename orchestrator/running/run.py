"""Run a sweep: plan, skip what is done, train and measure the rest, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from orchestrator.liveness.run_control import RunControl
from orchestrator.machine.scratch import scratch_folder
from orchestrator.planning.fit import Node
from orchestrator.planning.plan import publish_plan
from orchestrator.planning.prepare import Options, Prepared, refuse_misfit
from orchestrator.running.driver import ClusterLost, MakeDriver
from orchestrator.running.nodes import Aside, nodes_aside, wait_for_nodes
from orchestrator.running.preflight import check_nodes, importing_here
from orchestrator.running.watch import Run
from orchestrator.running.waves import run_waves
from orchestrator.slots.task import Status
from workers.contract.plan_document import PlanDocument
from workers.contract.store_place import check_writable


@dataclass(frozen=True)
class RunResult:
    """How a run ended, for the exit code and the summary.

    Attributes:
        statuses: By trial.
        cluster_lost: Why the cluster is lost, or empty.
        plan: The plan as it was published; None where the run came not so far.
    """

    statuses: dict[str, Status]
    cluster_lost: str = ""
    plan: PlanDocument | None = None

    @property
    def exit_code(self) -> int:
        """0 all done, 3 drained or cluster lost, 1 something failed."""
        statuses = set(self.statuses.values())
        if self.cluster_lost or statuses - {"done", "failed"}:
            return 3
        return 1 if "failed" in statuses else 0


def run(
    prepared: Prepared, options: Options, console: Console, make_driver: MakeDriver
) -> RunResult:
    """Train and measure what is missing; the caller has seen that something is.

    Raises:
        UserError: No node can ever hold a trial, the store cannot be written, no cluster answers,
            TensorFlow does not start, or a node has other code, another store or other data.
    """
    statuses: dict[str, Status] = {}
    plan: PlanDocument | None = None
    began = time.monotonic()
    try:
        with scratch_folder(is_for_sockets=not options.address) as scratch:
            driver = make_driver(options.address, scratch)
            control = RunControl(prepared.store, prepared.plan.sweep)
            this_run = Run(prepared, options, control, console, scratch, driver, began)
            needs_tensorflow = options.entry == Options.entry
            with (
                importing_here(
                    is_asked=needs_tensorflow and not options.address,
                    needs_gpu=prepared.sweep.resources.gpus > 0,
                ) as refuse_faults,
                driver.join() as joined,
            ):
                nodes = _awaited(this_run) if options.num_awaited_nodes else joined
                refuse_misfit(prepared, nodes)
                check_writable(prepared.store)
                aside = Aside()
                if options.address:  # a cluster of our own is this very machine
                    aside = nodes_aside(prepared, nodes, driver.ask)
                    nodes = aside.others(nodes)
                    if aside.reason:
                        console.print(aside.reason, markup=False, highlight=False)
                    check_nodes(
                        prepared,
                        options.data_dir,
                        nodes,
                        driver.ask,
                        needs_tensorflow=needs_tensorflow,
                    )
                refuse_faults()
                plan = publish_plan(prepared.store, prepared.plan)
                with control.listening():
                    run_waves(this_run, nodes, statuses, aside.node_ids)
    except ClusterLost as lost:
        return RunResult(statuses, str(lost), plan)
    return RunResult(statuses, plan=plan)


def _awaited(this_run: Run) -> Sequence[Node]:
    options = this_run.options
    with this_run.driver.watch_head(options.head_seconds) as head:
        return wait_for_nodes(
            options.num_awaited_nodes,
            this_run.prepared.sweep.resources,
            head,
            this_run.console,
            seconds=options.awaited_seconds,
            is_over_time=lambda: this_run.is_over_time,
        )
