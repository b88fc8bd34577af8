"""The command `minima`: reads arguments, calls one function, prints, and leaves with a code."""

from __future__ import annotations

import functools
import sys
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer

from orchestrator.commands import store_commands, sweep_commands
from orchestrator.commands.options import (
    REPORT,
    STORE,
    Address,
    BatchSize,
    CheckpointSeconds,
    DataDir,
    FailFast,
    Index,
    Json,
    LearningRate,
    MaybeSweep,
    NoCompact,
    Remeasure,
    Set,
    StoreOption,
    Sweep,
    Sweeps,
    TrialSeed,
    Watch,
)
from orchestrator.commands.store_commands import Format
from orchestrator.liveness.run_control import EXIT_INTERRUPTED, INTERRUPTED, interruptible
from orchestrator.machine.closed_pipe import quiet_when_closed
from orchestrator.machine.console import Output, full_disk_as_user_error, tell
from orchestrator.machine.own_packages import check_own_packages
from orchestrator.machine.standard_streams import mend_standard_streams
from orchestrator.planning.prepare import Options
from orchestrator.running.foreground import TrialChoice
from workers.contract.distribution import NOT_INSTALLED, installed_version
from workers.contract.errors import Fault, StoreError, UserError
from workers.contract.local_folder import local_folder

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure what decides the minimum that SGD finds: sweeps of (batch size, learning rate, seed).",
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXIT_BAD_INPUT, EXIT_INTERNAL = 2, 4
_TYPER_INTERRUPTED = 130  # what typer makes of KeyboardInterrupt


def main() -> None:
    """Run the command and leave with its exit code; with 141 once nobody reads its output."""
    mend_standard_streams()
    with quiet_when_closed():
        _run_command()


def _run_command() -> NoReturn:
    say_once = functools.cache(_say_warning)
    warnings.showwarning = lambda message, *_, **__: say_once(str(message))
    try:
        check_own_packages(Path(__file__).resolve().parent.parent)
        with interruptible(), full_disk_as_user_error():
            code = app(prog_name="minima", standalone_mode=False)
        if code == _TYPER_INTERRUPTED:
            _leave(INTERRUPTED, EXIT_INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as error:
        _leave(str(error), EXIT_BAD_INPUT)
    except StoreError as error:
        _leave(f"{error}\n  mend:  check the store's place, rights and space", EXIT_BAD_INPUT)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)  # of a usage error alone
        command = "minima" if context is None else context.command_path
        mend = f"see `{command} --help`"
        _leave(str(Fault(error.format_message(), command, mend)), EXIT_BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        _leave(INTERRUPTED, EXIT_INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001  # the last resort: a bug of ours, reported as one
        tell(traceback.format_exc().rstrip())
        _leave("internal error: please report the lines above", EXIT_INTERNAL)


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
    remeasure: Remeasure = False,
    no_compact: NoCompact = False,
    json: Json = False,
) -> int:
    """Train and measure what is missing, aggregate, print Table 1. The same command resumes."""
    options = replace(
        _options(store, address, data_dir, set_),
        is_fail_fast=fail_fast,
        is_remeasuring=remeasure,
        is_compacting=not no_compact,
        checkpoint_seconds=checkpoint_seconds,
    )
    return sweep_commands.run(sweep, options, Output(json))


@app.command()
def plan(
    sweep: Sweep,
    store: StoreOption = STORE,
    address: Address = None,
    data_dir: DataDir = None,
    set_: Set = None,
    *,
    remeasure: Remeasure = False,
    json: Json = False,
) -> int:
    """Show what a run would do: per cell, the time it would take, and whether trials fit."""
    options = replace(_options(store, address, data_dir, set_), is_remeasuring=remeasure)
    return sweep_commands.plan(sweep, options, Output(json))


@app.command()
def status(
    sweep: MaybeSweep = None,
    store: StoreOption = STORE,
    *,
    watch: Watch = False,
    json: Json = False,
) -> int:
    """Show the state of a sweep from the store alone, from any machine."""
    return store_commands.status(sweep, store, Output(json), is_watching=watch)


@app.command()
def stop(sweep: Sweep, store: StoreOption = STORE, *, json: Json = False) -> int:
    """Ask running trials to save and leave; a later run takes up where they were."""
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
    store_commands.query(sql, store, Format.JSON if json else format_)
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
    return sweep_commands.verify(sweep, sample, _options(store, None, data_dir, set_), Output(json))


@app.command()
def compact(store: StoreOption = STORE, *, json: Json = False) -> int:
    """Merge small files of the store; safe at any moment."""
    return store_commands.compact(store, Output(json))


@app.command()
def doctor(store: StoreOption = STORE, *, json: Json = False) -> int:
    """Check this machine for what a sweep needs."""
    return store_commands.doctor(store, Output(json))


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
    return store_commands.sweeps(show, Output(json))


def _options(
    store: str, address: str | None, data_dir: str | None, overrides: list[str] | None
) -> Options:
    folder = None if data_dir is None else str(local_folder(data_dir, "--data-dir"))
    own = address in {None, "", "local"}  # as Ray calls a cluster of one's own
    return Options(store, None if own else address, folder, tuple(overrides or ()))


def _leave(text: str, code: int) -> NoReturn:
    tell(text)
    sys.exit(code)


def _say_warning(text: str) -> None:
    tell(f"warning: {text}")


if __name__ == "__main__":
    main()
