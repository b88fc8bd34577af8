"""The command `query`, by itself: it starts without what plans, runs and averages sweeps."""

from __future__ import annotations

import os
import sys

from analysis.query import formats
from analysis.query.interruptible import is_abandoned
from analysis.query.sql import query as answer
from orchestrator.commands.options import Format
from orchestrator.liveness.run_control import EXIT_INTERRUPTED, INTERRUPTED
from orchestrator.machine.console import Output, tell, terminal_width
from orchestrator.machine.memory import limited_memory
from workers.contract.store_place import open_existing

_QUERY_BYTES = 10**9
"""What the answer to a query may take beside the views, of which DuckDB has an account of its own too."""


def query(sql: str, store_uri: str, format_: Format) -> None:
    """Answer a query in SQL over the views."""
    try:
        with Output().step("reading the store"):
            rows = answer(open_existing(store_uri), sql, lambda: limited_memory(_QUERY_BYTES))
    except KeyboardInterrupt:
        if is_abandoned():  # DuckDB is deep in one value: Python cannot end before its thread
            tell(INTERRUPTED)
            os._exit(EXIT_INTERRUPTED)
        raise
    if format_ is Format.TABLE:
        Output().show(formats.as_text(rows, terminal_width()).rstrip("\n"))
        return
    written = formats.FORMATS[format_.value](rows)
    if isinstance(written, bytes):
        sys.stdout.buffer.write(written)
    else:
        sys.stdout.write(written.rstrip("\n") + "\n")
