"""The commands with their arguments and options; each calls one function and returns its exit code.

What a command needs is imported once it is called, so that a query or `--help` starts without all the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from orchestrator.commands.options import (
    REPORT,
    STORE,
    Address,
    BatchSize,
    Benchmark,
    CheckpointSeconds,
    DataDir,
    FailFast,
    Format,
    Index,
    Json,
    LearningRate,
    MaxConcurrent,
    MaybeSweep,
    NoCompact,
    Prices,
    Remeasure,
    Set,
    StoreOption,
    Sweep,
    Sweeps,
    TimeBudget,
    TrialSeed,
    WaitForNodes,
    Watch,
)
from orchestrator.machine.console import Output
from workers.contract.distribution import NOT_INSTALLED, installed_version
from workers.contract.errors import user_error
from workers.contract.local_folder import local_folder

if TYPE_CHECKING:
    from orchestrator.planning.prepare import Options

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure what decides the minimum that SGD finds: sweeps of (batch size, learning rate, seed).",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:  # noqa: FBT001  # typer's signature
    if is_asked:
        typer.echo(f"minima {installed_version() or NOT_INSTALLED}")
        raise typer.Exit


@app.callback()
def _minima(
    *,
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Accept the options that stand before a command; their callbacks act on them."""


@app.command()
def run(  # noqa: PLR0917  # typer passes them by name
    sweep: Sweep,
    store: StoreOption = STORE,
    address: Address = None,
    data_dir: DataDir = None,
    set_: Set = None,
    checkpoint_seconds: CheckpointSeconds = 60.0,
    *,
    fail_fast: FailFast = False,
    max_concurrent: MaxConcurrent = None,
    time_budget: TimeBudget = None,
    wait_for_nodes: WaitForNodes = None,
    remeasure: Remeasure = False,
    no_compact: NoCompact = False,
    json: Json = False,
) -> int:
    """Train and measure what is missing, aggregate, print Table 1. The same command resumes."""
    from orchestrator.commands import sweep_commands

    options = replace(
        _options(store, address, data_dir, set_),
        is_fail_fast=fail_fast,
        is_remeasuring=remeasure,
        is_compacting=not no_compact,
        checkpoint_seconds=checkpoint_seconds,
        max_concurrent=max_concurrent,
        time_budget_seconds=time_budget,
        num_awaited_nodes=wait_for_nodes.num_nodes if wait_for_nodes else 0,
        awaited_seconds=wait_for_nodes.seconds if wait_for_nodes else None,
    )
    if wait_for_nodes is not None and options.address is None:
        what = "a run on this machine alone has no nodes to wait for"
        mend = "give the cluster's --address, or leave it out"
        raise user_error(what, where="--wait-for-nodes", mend=mend)
    return sweep_commands.run(sweep, options, Output(json))


@app.command()
def plan(  # noqa: PLR0917  # typer passes them by name
    sweep: Sweep,
    store: StoreOption = STORE,
    address: Address = None,
    data_dir: DataDir = None,
    set_: Set = None,
    price: Prices = None,
    *,
    benchmark: Benchmark = False,
    remeasure: Remeasure = False,
    json: Json = False,
) -> int:
    """Show what a run would do: per cell, the time it would take, whether trials fit, and what it costs."""
    from orchestrator.commands import plan_command

    options = replace(_options(store, address, data_dir, set_), is_remeasuring=remeasure)
    return plan_command.plan(sweep, options, Output(json), price or [], is_timing=benchmark)


@app.command()
def status(
    sweep: MaybeSweep = None,
    store: StoreOption = STORE,
    *,
    watch: Watch = False,
    json: Json = False,
) -> int:
    """Show the state of a sweep from the store alone, from any machine."""
    from orchestrator.commands import store_commands

    return store_commands.status(sweep, store, Output(json), is_watching=watch)


@app.command()
def stop(sweep: Sweep, store: StoreOption = STORE, *, json: Json = False) -> int:
    """Ask running trials to save and leave; a later run takes up where they were."""
    from orchestrator.commands import store_commands

    return store_commands.stop(sweep, store, Output(json))


@app.command()
def trial(  # noqa: PLR0917  # typer passes them by name
    sweep: Sweep,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: TrialSeed = None,
    index: Index = None,
    store: StoreOption = STORE,
    data_dir: DataDir = None,
    set_: Set = None,
    checkpoint_seconds: CheckpointSeconds = 60.0,
    *,
    remeasure: Remeasure = False,
    json: Json = False,
) -> int:
    """Do one trial of the grid in the foreground, without Ray; it commits like any other.

    By --index nothing is averaged at the end, as the jobs of an array end one by one: `minima aggregate` does that.
    """
    from orchestrator.commands import sweep_commands
    from orchestrator.running.foreground import TrialChoice

    options = replace(
        _options(store, None, data_dir, set_),
        is_remeasuring=remeasure,
        checkpoint_seconds=checkpoint_seconds,
    )
    choice = TrialChoice(batch_size, learning_rate, seed, index)
    return sweep_commands.trial(sweep, choice, options, Output(json))


@app.command()
def aggregate(sweep: MaybeSweep = None, store: StoreOption = STORE, *, json: Json = False) -> int:
    """Average over seeds and make the predictions again; prints Table 1."""
    from orchestrator.commands import store_commands

    return store_commands.aggregate(sweep, store, Output(json))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help='For example "SELECT * FROM cells".')],
    store: StoreOption = STORE,
    format_: Annotated[Format, typer.Option("--format")] = Format.TABLE,
    *,
    json: Json = False,
) -> int:
    """Ask the store in SQL, read-only, over the views of the README."""
    from workers.process.surroundings import without

    with without("pandas"):  # which PyArrow imports where it can, for a third of a query's time
        from orchestrator.commands import query_command

    query_command.query(sql, store, Format.JSON if json else format_)
    return 0


@app.command()
def report(
    sweeps: Sweeps = None,
    store: StoreOption = STORE,
    out: Annotated[Path, typer.Option("--out", help="A folder, made if need be.")] = REPORT,
    *,
    json: Json = False,
) -> int:
    """Write report.html, figures, table1.csv and table1.tex."""
    from orchestrator.commands import store_commands

    return store_commands.report(sweeps or [], store, out, Output(json))


@app.command()
def verify(
    sweep: Sweep,
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many done trials.")],
    store: StoreOption = STORE,
    data_dir: DataDir = None,
    set_: Set = None,
    *,
    json: Json = False,
) -> int:
    """Train and measure some done trials again and compare every value."""
    from orchestrator.commands import sweep_commands

    return sweep_commands.verify(sweep, sample, _options(store, None, data_dir, set_), Output(json))


@app.command()
def compact(store: StoreOption = STORE, *, json: Json = False) -> int:
    """Merge small files of the store; safe at any moment."""
    from orchestrator.commands import store_commands

    return store_commands.compact(store, Output(json))


@app.command()
def doctor(store: StoreOption = STORE, address: Address = None, *, json: Json = False) -> int:
    """Check this machine, or with --address every node of a cluster, for what a sweep needs."""
    from orchestrator.commands import store_commands

    return store_commands.doctor(store, cluster_at(address), Output(json))


@app.command()
def sweeps(
    show: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--show", metavar="NAME", help="Print one as YAML, to start your own from."),
    ] = None,
    *,
    json: Json = False,
) -> int:
    """List the built-in sweeps."""
    from orchestrator.commands import store_commands

    return store_commands.sweeps(show, Output(json))


def _options(
    store: str, address: str | None, data_dir: str | None, overrides: list[str] | None
) -> Options:
    from orchestrator.planning.prepare import Options

    folder = None if data_dir is None else str(local_folder(data_dir, "--data-dir"))
    return Options(store, cluster_at(address), folder, tuple(overrides or ()))


def cluster_at(address: str | None) -> str | None:
    """Return the address of a cluster; None for one of our own, which Ray calls `local`."""
    return None if address in {None, "", "local"} else address
