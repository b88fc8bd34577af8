"""How states and tables look on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from orchestrator.machine.whole_table import WholeTable
from orchestrator.monitor.device_use import NO_DEVICE, device_use, share_held
from orchestrator.monitor.status import CellStatus, SweepStatus
from orchestrator.monitor.time_left import done_share
from orchestrator.planning.estimate import duration
from workers.contract.orders import Heartbeat

_WIDTHS = {"host": 20, "GPU (held)": 13, "doing": 15, "progress": 22}


def time_left(seconds: float) -> str:
    """Return how long the rest will take, or that this is unknown, as nothing was recorded yet."""
    return f"about {duration(seconds)} left" if math.isfinite(seconds) else "time left unknown"


def status_table(status: SweepStatus) -> Table:
    """Tabulate trials by state, one row per cell, with the time until its last one is done."""
    table = WholeTable(
        title=f"{status.sweep}: {status.num_done} of {status.num_trials} trials done"
    )
    names = ("done", "running", "to\nmeasure", "to\ntrain", "failed", "left")
    for heading in ("batch\nsize", "learning\nrate", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in status.cells:
        counts = (cell.done, cell.running, cell.to_measure, cell.to_train, cell.failed)
        shown = [str(count) if count else "·" for count in counts]
        shown[1] = running_text(cell)
        table.add_row(str(cell.batch_size), f"{cell.learning_rate:g}", *shown, _left_text(cell))
    return table


def running_text(cell: CellStatus) -> str:
    """Return how many trials of a cell run, and the epoch of the furthest."""
    if cell.running and cell.furthest_epoch is not None and cell.epochs:
        return f"{cell.running} (epoch {cell.furthest_epoch}/{cell.epochs})"
    return str(cell.running) if cell.running else "·"


def _left_text(cell: CellStatus) -> str:
    has_open = cell.running or cell.to_measure or cell.to_train or cell.failed
    return duration(cell.seconds_left) if has_open else "·"


def device_table(running: Sequence[Heartbeat]) -> Table:
    """Tabulate what runs on each GPU, one row per attempt, with the share held of its device."""
    table = WholeTable(title="running now")
    for heading in ("host", "GPU (held)", "trial", "share", "doing", "progress"):
        justify: Literal["left", "right"] = "right" if heading == "share" else "left"
        width = _WIDTHS.get(heading)
        table.add_column(heading, no_wrap=width is None, justify=justify, max_width=width)
    for use in device_use(running):
        is_gpu = use.device != NO_DEVICE
        for number, beat in enumerate(use.attempts):
            held = f"{use.device} ({100 * use.share:.0f} %)" if is_gpu else NO_DEVICE
            table.add_row(
                *((Text(use.host), held) if number == 0 else ("", "")),
                beat.trial_id[:10],
                f"{share_held(beat):.3g}" if is_gpu else "·",
                Text(beat.statistic or beat.progress.phase),
                progress_text(beat),
                end_section=number == len(use.attempts) - 1,
            )
    return table


def progress_text(beat: Heartbeat) -> str:
    """Return how far an attempt is: its epoch, and the share done."""
    progress = beat.progress
    share = f"{100 * done_share(beat):.0f} %" if progress.total > 0 else "…"
    if progress.epoch is None:
        return share
    return f"epoch {progress.epoch + 1}/{progress.epochs}, {share}"


def pace_parts(status: SweepStatus) -> list[str]:
    """Return the throughput and the time left of a sweep, a sentence each."""
    parts = []
    pace = status.throughput
    if pace is not None and pace.trials_per_hour is not None:
        window = "in the last hour"
        if pace.since != "an hour ago":
            window = f"in {duration(pace.window_seconds)}, since {pace.since} began"
        parts.append(f"{pace.num_finished} trials finished {window}: {pace.trials_per_hour:.3g}/h")
    if pace is not None and pace.steps_per_second is not None:
        parts.append(f"{pace.steps_per_second:.3g} training steps/s")
    if status.num_done < status.num_trials:
        is_idle = not status.running
        parts.append("nothing runs" if is_idle else time_left(status.seconds_left))
    return parts


def silence_line(status: SweepStatus, *, is_single_look: bool) -> str:
    """Return which attempts are silent, and what that can mean; empty when none is."""
    if not status.silent:
        return ""
    names = ", ".join(f"{beat.trial_id[:10]} on {beat.host}" for beat in status.silent[:3])
    more = f" and {len(status.silent) - 3} more" if len(status.silent) > 3 else ""
    clocks = ", or clocks differ (--watch decides)" if is_single_look else ""
    return f"silent for over a minute: {names}{more}: ended by force{clocks}"


def failure_table(groups: Sequence[dict[str, JsonValue]]) -> Table:
    """Tabulate failures by signature, one row per group, with the last message above its log."""
    table = WholeTable(title="failures of trials that are not done")
    table.add_column("class, signature", overflow="fold", max_width=24)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("last message and its log", overflow="fold")
    for group in groups:  # a message is not markup
        kind = Text(f"{group['failure_class']}\n{str(group['signature'])[:100]}")
        last = Text(f"{str(group['message'])[:300]}\n{group['log_path']}")
        table.add_row(kind, str(group["count"]), last, end_section=True)
    return table
