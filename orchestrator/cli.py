"""The command `minima`: runs the command it is given, and leaves with a code."""

from __future__ import annotations

import functools
import sys
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

import typer

from orchestrator.liveness.exit_code import code_noted
from orchestrator.liveness.run_control import EXIT_INTERRUPTED, INTERRUPTED, interruptible
from orchestrator.machine.closed_pipe import quiet_when_closed
from orchestrator.machine.console import full_disk_as_user_error, tell
from orchestrator.machine.memory import collect_seldom
from orchestrator.machine.own_packages import check_own_packages
from orchestrator.machine.standard_streams import mend_standard_streams
from workers.contract.errors import Fault, StoreError, UserError

EXIT_BAD_INPUT, EXIT_INTERNAL = 2, 4
_TYPER_INTERRUPTED = 130  # what typer makes of KeyboardInterrupt


def main() -> None:
    """Run the command and leave with its exit code; with 141 once nobody reads its output."""
    mend_standard_streams()
    collect_seldom()
    with code_noted(), quiet_when_closed():
        _run_command()


def _run_command() -> NoReturn:
    say_once = functools.cache(_say_warning)
    warnings.showwarning = lambda message, *_, **__: say_once(str(message))
    try:
        check_own_packages(Path(__file__).resolve().parent.parent)
        with interruptible(), full_disk_as_user_error():
            from orchestrator.commands.app import app

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


def _leave(text: str, code: int) -> NoReturn:
    tell(text)
    sys.exit(code)


def _say_warning(text: str) -> None:
    tell(f"warning: {text}")


if __name__ == "__main__":
    main()
