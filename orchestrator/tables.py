"""How states and tables look on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from orchestrator.status import SweepStatus
from workers.contract.orders import Heartbeat


def duration(seconds: float) -> str:
    """Write seconds for a person: 40 s, 12 min, 3.5 h, 21 days."""
    if not math.isfinite(seconds):
        return "unknown"
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if unit == "h" and value < 10 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def time_left(seconds: float) -> str:
    """Say how long the rest will take; of what was never recorded nothing may be known."""
    return f"about {duration(seconds)} left" if math.isfinite(seconds) else "time left unknown"


def status_table(status: SweepStatus) -> Table:
    """Show trials by state, a row a cell."""
    table = Table(title=f"{status.sweep}: {status.num_done} of {status.num_trials} trials done")
    names = ("done", "running", "to measure", "to train", "failed")
    for heading in ("batch size", "learning rate", *names):
        table.add_column(heading, justify="right")
    for cell in status.cells:
        counts = (cell.done, cell.running, cell.to_measure, cell.to_train, cell.failed)
        shown = (str(count) if count else "·" for count in counts)
        table.add_row(str(cell.batch_size), f"{cell.learning_rate:g}", *shown)
    return table


def running_table(running: Sequence[Heartbeat]) -> Table:
    """Show the attempts that live, a row each."""
    table = Table(title="running now")
    for heading in ("trial", "doing", "progress", "host", "GPU", "since"):
        table.add_column(heading)
    for beat in running:
        table.add_row(
            beat.trial_id[:10],
            f"measuring {beat.statistic}" if beat.statistic else beat.progress.phase,
            progress_text(beat),
            beat.host,
            "none" if beat.devices == "-1" else f"{beat.devices} ({beat.device_share:g})",
            beat.started_at[11:19],
        )
    return table


def progress_text(beat: Heartbeat) -> str:
    """Say how far an attempt is."""
    progress = beat.progress
    share = f"{100 * progress.done / progress.total:.0f} %" if progress.total else "…"
    if progress.epoch is None:
        return share
    return f"epoch {progress.epoch + 1}/{progress.epochs}, {share}"


def failure_table(groups: Sequence[dict[str, JsonValue]]) -> Table:
    """Show failures grouped by signature, a row a group."""
    table = Table(title="failures of trials that are not done")
    for heading in ("class", "signature", "times", "last message", "log"):
        table.add_column(heading, overflow="fold")
    for group in groups:
        names = ("failure_class", "signature", "count", "message", "log_path")
        table.add_row(*(Text(str(group[name])[:300]) for name in names))  # a message is no markup
    return table
