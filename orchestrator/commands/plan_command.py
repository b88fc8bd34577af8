"""`minima plan`: what a run would do, how long it would take, whether it fits, what it would cost."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from rich.text import Text

from orchestrator.commands.benchmark import refuse_cluster, timed_here
from orchestrator.commands.sweep_commands import PREPARING, note_earlier
from orchestrator.driver.environment import make_driver
from orchestrator.machine.console import Output
from orchestrator.monitor.cost import cost_document, cost_table, read_prices
from orchestrator.monitor.plan_report import (
    COLUMNS_NOTE,
    data_line,
    nodes_table,
    plan_document,
    plan_report,
    plan_table,
    summary_line,
)
from orchestrator.planning.fit import Node, fit_faults, this_machine
from orchestrator.planning.prepare import Options, Prepared, misfit_cure, prepare
from orchestrator.running.network_check import refuse_network
from orchestrator.running.nodes import Aside, nodes_for


def plan(
    sweep: str,
    options: Options,
    output: Output,
    prices_given: Sequence[str] = (),
    *,
    is_timing: bool = False,
) -> int:
    """Show what a run would do, and cost by the prices given, writing nothing.

    Args:
        sweep: A YAML file or a built-in name.
        options: As for a run.
        output: Where it is shown.
        prices_given: Of an hour of a device, `NAME=PRICE`.
        is_timing: Take a few steps of each batch size first, and tell times by them.
    """
    prices = read_prices(prices_given)
    if is_timing:
        refuse_cluster(options)
    with output.step(PREPARING):
        prepared = prepare(sweep, options)
    with output.step("trying the sweep's own code and asking the nodes"):
        refuse_network(prepared, prepared.open_work, options)
        nodes, aside = _nodes_for(prepared, options)
    if is_timing:
        with output.step("timing a few steps of each batch size"):
            prepared = timed_here(prepared, options, *nodes)  # this machine alone, as no cluster is
    report = plan_report(prepared, nodes)
    note_earlier(prepared, output)
    output.show(plan_table(report))
    output.show(Text(COLUMNS_NOTE.format(unit=report.unit)))
    output.show(data_line(prepared))
    output.show(nodes_table(report))
    if aside.reason:
        output.show(aside.reason)
    misfits = fit_faults(prepared.sweep.resources, nodes, misfit_cure(prepared, nodes))
    for fault in misfits:
        output.show(f"does not fit: {fault}")
    output.show(summary_line(report) if prepared.open_work else "nothing is missing")
    if prepared.open_work:
        output.show(cost_table(report, prices))
    output.document(
        plan_document(report)
        | {
            "aside": _aside_document(aside),
            "misfit": next((dict(vars(fault)) for fault in misfits), None),
            "cost_by_device": cost_document(report, prices),
        }
    )
    return 0


def _aside_document(aside: Aside) -> JsonValue:
    """Return which nodes get no trial, and why, as JSON; null where there are none."""
    if not aside.node_ids:
        return None
    return {"node_ids": list[JsonValue](sorted(aside.node_ids)), "reason": aside.reason}


def _nodes_for(prepared: Prepared, options: Options) -> tuple[Sequence[Node], Aside]:
    """List this machine, or the nodes of the cluster at the address."""
    if options.address is None:
        return [this_machine()], Aside()
    return nodes_for(prepared, options.address, make_driver)
