"""The command `minima` itself, with another module to do the attempts.

CHAOS_ENTRY names the module, CHAOS_OPTIONS further fields of `Options` as JSON, CHAOS_CLOCK_OFFSET how
many seconds the clock is off.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import shifted_clock

from orchestrator import cli
from orchestrator.commands import app
from orchestrator.liveness import run_control  # noqa: F401
from orchestrator.planning import prepare


def main() -> None:
    """Run the command line with the options of the test."""
    make = app._options
    entry = os.environ["CHAOS_ENTRY"]
    known = {field.name for field in fields(prepare.Options)}
    extra = json.loads(os.environ.get("CHAOS_OPTIONS", "{}"))
    wanted = {"entry": entry} | {key: value for key, value in extra.items() if key in known}
    app._options = lambda *given: replace(make(*given), **wanted)
    if offset := float(os.environ.get("CHAOS_CLOCK_OFFSET", "0")):
        shifted_clock.shift(timedelta(seconds=offset))
    sys.argv[0] = str(Path(cli.__file__))
    cli.main()


if __name__ == "__main__":
    main()
