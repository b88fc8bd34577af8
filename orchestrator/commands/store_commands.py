"""The commands that look at a store: status, stop, aggregate, report, compact; and the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue
from rich.text import Text

from orchestrator.liveness.run_control import ask_to_stop, forget_dead_runs, live_runs
from orchestrator.machine.console import Output, terminal_width
from orchestrator.machine.plain_matplotlib import import_matplotlib
from orchestrator.machine.whole_table import WholeTable
from orchestrator.monitor.plan_memory import PlanMemory
from orchestrator.monitor.status import StatusReader, SweepStatus, status_document
from orchestrator.monitor.watch import status_view, watch
from orchestrator.planning.sweep import built_in_sweeps, is_sweep_file, read_sweep
from orchestrator.running.compaction import COMPACTING, compact_store
from workers.contract.compaction import conflicts
from workers.contract.errors import Fault, UserError, did_you_mean, user_error
from workers.contract.plan_document import PlanDocument
from workers.contract.plans import list_sweeps, newest_plan
from workers.contract.store import Store
from workers.contract.store_place import open_existing


def status(sweep: str | None, store_uri: str, output: Output, *, is_watching: bool) -> int:
    """Show the state of one sweep, or of all, from the store alone; watching ends with the last trial.

    With `--json` watching means waiting: the one document describes the end.
    """
    store = open_existing(store_uri)
    reader, plans = StatusReader(store), PlanMemory(store)

    def look() -> list[SweepStatus]:
        found = plans_in(store, sweep, plans.newest)
        return [reader.look(plan, datetime.now(UTC)) for plan in found]

    states = watch(look, output) if is_watching else look()
    if states and not is_watching:
        output.show(status_view(states, is_single_look=True))
    if not states:
        output.note(f"no sweep was run in {store.uri} yet")
    output.document([status_document(state) for state in states])
    return 0


def stop(sweep: str, store_uri: str, output: Output) -> int:
    """Ask every registered run of a sweep to drain, those aside that were killed."""
    store = open_existing(store_uri)
    name = sweep_name(sweep)
    forget_dead_runs(store)
    runs, known = live_runs(store, name), list_sweeps(store)
    if not runs and name not in known:
        raise _unknown(store, name, known)
    for run_id in runs:
        ask_to_stop(store, name, run_id, "minima stop")
    output.show(
        f"asked {len(runs)} runs of {name} to stop" if runs else f"no run of {name} is registered"
    )
    output.document({"sweep": name, "runs": list[JsonValue](runs)})
    return 0


def aggregate(sweep: str | None, store_uri: str, output: Output) -> int:
    """Aggregate one sweep, or all."""
    from analysis.aggregation.aggregate import conclude_anew
    from analysis.records.load import load_records
    from analysis.tables.table1_text import render_text
    from analysis.tables.verdict_text import conclusion_text, verdict_text

    store = open_existing(store_uri)
    plans = plans_in(store, sweep)
    found: list[JsonValue] = []
    for item in plans:
        with output.step(f"averaging {item.sweep} over seeds and making its predictions"):
            told = conclude_anew(store, load_records(store, item))
        output.show(render_text(told.table, terminal_width()))
        if verdicts := verdict_text(told.predictions, terminal_width()):
            output.show(verdicts)
        found += report_disagreements(told.validity, output)
        output.show(
            conclusion_text(
                told.table, told.lacking, told.num_excess_seeds, told.predictions, terminal_width()
            )
        )
    for conflict in conflicts(store):
        output.note(str(conflict))
    if not plans:
        output.note(f"no sweep was run in {store.uri} yet")
    output.document({"aggregated": [item.sweep for item in plans], "disagreements": found})
    return 0


def report_disagreements(rows: pa.Table, output: Output) -> list[JsonValue]:
    """Note the worst disagreement between statistics in view `validity`, if any, and return them all as JSON."""
    from analysis.aggregation.agreement_rows import disagreement_line, disagreements

    validity = rows.to_pandas()
    line = disagreement_line(validity)
    if line:
        output.note(line)
    return [dict(each) for each in disagreements(validity)]


def report(sweeps: Sequence[str], store_uri: str, out: Path, output: Output) -> int:
    """Write the report of a sweep; of several that are named side by side, of all that there are a folder each."""
    from analysis.aggregation.aggregate import aggregate_into
    from analysis.records.load import load_records

    import_matplotlib()
    from analysis.report.report import Report, compute_report, make_folder, write_report
    from analysis.report.side_by_side import write_side_by_side

    store = open_existing(store_uri)
    plans = {plan.sweep: plan for plan in _plans_of(store, sweeps)}
    names = list(plans)
    if not names:
        raise user_error(
            f"no sweep was run in {store.uri} yet",
            where="--store",
            mend="run one: minima run quickstart",
        )
    make_folder(out)
    is_one_page = len(sweeps) > 1 and len(names) > 1
    reports, written = dict[str, Report](), list[Path]()
    for name, plan in plans.items():
        with output.step(f"averaging {name} over seeds and making its predictions"):
            data = load_records(store, plan)
            derived = aggregate_into(store, data)
        with output.step(f"drawing the figures of {name} and writing its report"):
            found = compute_report(data, derived, store.uri)
            if is_one_page:
                reports[name] = found
            else:
                written += write_report(found, out if len(names) == 1 else out / name)
    if is_one_page:
        with output.step(f"writing the report of {' and '.join(names)}"):
            written = write_side_by_side(reports, out)
    output.show("\n".join(map(str, written)))
    output.document({"written": [*map(str, written)]})
    return 0


def _plans_of(store: Store, sweeps: Sequence[str]) -> list[PlanDocument]:
    """Read the newest plans of the sweeps named, or of all; every one that is not there is told."""
    plans, faults = list[PlanDocument](), list[Fault]()
    wanted: Sequence[str | None] = sweeps or [None]
    for sweep in wanted:
        try:
            plans += plans_in(store, sweep)
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(faults)
    return plans


def compact(store_uri: str, output: Output) -> int:
    """Merge small files of the store."""
    with output.step(COMPACTING):
        result = compact_store(open_existing(store_uri))
    output.show(str(result))
    output.document(asdict(result))
    return 0


def doctor(store_uri: str, address: str | None, output: Output) -> int:
    """Check this machine, and every node of a cluster at an address; 1 when something needs mending."""
    from orchestrator.commands.doctor import diagnose, diagnose_cluster, verdict
    from orchestrator.driver.environment import make_driver

    with output.step("looking at this machine, and whether TensorFlow starts"):
        checks = list(diagnose(store_uri))
    if address is not None:
        with output.step(f"asking the nodes of the cluster at {address}"):
            checks += diagnose_cluster(store_uri, address, make_driver)
    table = WholeTable(title="this machine" if address is None else "this machine, and each node")
    for heading in ("check", "found", "mend"):
        table.add_column(heading)
    for check in checks:
        table.add_row(*(Text(part) for part in (check.name, check.found, check.cure)))
    output.show(table)
    output.show(verdict(checks, address))
    output.document([asdict(check) for check in checks])
    return 0 if all(check.is_good for check in checks) else 1


def sweeps(name: str | None, output: Output) -> int:
    """List the built-in sweeps, or print one."""
    known = built_in_sweeps()
    if name is not None and name not in known:
        raise user_error(
            f"no built-in sweep {name!r}", where="--show", mend=did_you_mean(name, known)
        )
    if name is not None:
        output.show(known[name].rstrip())
        output.document({"name": name, "yaml": known[name]})
        return 0
    width = max(map(len, known))
    for item, text in known.items():
        output.show(f"{item:{width}}  {text.splitlines()[0].removeprefix('# ')}")
    output.document(list(known))
    return 0


def plans_in(
    store: Store, sweep: str | None, newest: Callable[[str], PlanDocument | None] | None = None
) -> list[PlanDocument]:
    """Read the newest plan of one sweep, or of all in the store, by `newest` where that is given.

    Raises:
        UserError: The sweep was never run in this store.
    """
    newest = newest or partial(newest_plan, store)
    known = list_sweeps(store)
    if sweep is None:
        found = [newest(name) for name in known]
        return [item for item in found if item is not None]
    name = sweep_name(sweep)
    if name not in known:
        raise _unknown(store, name, known)
    plan = newest(name)
    if plan is None:
        raise user_error(
            f"no plan of {name!r} in {store.uri} can be read",
            where=f"{store.uri}, sweeps/{name}",
            mend="run the sweep again: its plan is written anew, and what is done stays done",
        )
    return [plan]


def _unknown(store: Store, name: str, known: list[str]) -> UserError:
    return user_error(
        f"no sweep {name!r} in {store.uri}",
        where="SWEEP, --store",
        mend=did_you_mean(name, known) if known else "run it first, or give another --store",
    )


def sweep_name(sweep: str) -> str:
    """Return the name of a sweep given as a file, a built-in name, or a name in the store."""
    if not is_sweep_file(Path(sweep)):
        return sweep
    document, where = read_sweep(sweep, [])
    name = document.get("name")
    if not isinstance(name, str):
        raise user_error("the sweep has no name", where=where, mend="give it one: name: my-sweep")
    return name
