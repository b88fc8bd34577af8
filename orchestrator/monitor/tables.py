"""How states and tables look on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from analysis.text.number_text import plain
from orchestrator.machine.whole_table import WholeTable
from orchestrator.monitor.device_use import NO_DEVICE, device_use, share_held
from orchestrator.monitor.status import CellStatus, SweepStatus, latest
from orchestrator.monitor.throughput import Throughput
from orchestrator.monitor.time_left import done_share
from orchestrator.planning.estimate import duration
from workers.contract.orders import Heartbeat

_STEADY = 0.95
"""Share of a time from which on pauses in it are not worth a word."""

MOST_CELLS = 100
"""Of a table; where there are more, so many that are not done stand there, and the rest is summed."""

_WIDTHS = {"host": 20, "GPU (held)": 13, "doing": 15}


def time_left(seconds: float) -> str:
    """Return how long the rest will take, or that this is unknown, as nothing was recorded yet."""
    return f"about {duration(seconds)} left" if math.isfinite(seconds) else "time left unknown"


def status_table(status: SweepStatus, *, has_times: bool = True) -> Table:
    """Tabulate trials by state, one row per cell; with the time until its last one is done."""
    shown, others = shown_cells(status.cells)
    table = WholeTable(title=cells_title(status, shown, others))
    names = ("done", "running", "to\nmeasure", "to\ntrain", "failed")
    for heading in ("batch\nsize", "learning\nrate", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    if has_times:
        table.add_column("left", justify="right", no_wrap=True)
    for cell in [*shown, *others]:
        counts = (cell.done, cell.running, cell.to_measure, cell.to_train, cell.failed)
        texts = [str(count) if count else "·" for count in counts]
        texts[0] += f" ({cell.diverged} diverged)" if cell.diverged else ""
        texts[1] = running_text(cell)
        left = [_left_text(cell)] if has_times else []
        table.add_row(*cell_texts(cell, others), *texts, *left)
    return table


def cells_title(
    status: SweepStatus, shown: Sequence[CellStatus], others: Sequence[CellStatus]
) -> str:
    """Return how many trials are done, and which cells of many the table shows, as `shown_cells` finds."""
    title = f"{status.sweep}: {status.num_done} of {status.num_trials} trials done"
    if not others:
        return title
    rest = "those not done first, the others summed" if shown else "all summed"
    return f"{title}; {len(shown)} of {len(status.cells):,} cells shown, {rest} (--json: each)"


def shown_cells(cells: Sequence[CellStatus]) -> tuple[list[CellStatus], list[CellStatus]]:
    """Return the cells that a table shows, and in one the sum of the others, where there are any.

    Of more than `MOST_CELLS` those are shown first where something runs or failed, then others that
    are not done, each in the plan's order; done ones are not.
    """
    if len(cells) <= MOST_CELLS:
        return list(cells), []
    still = [cell for cell in cells if is_open(cell)]
    still.sort(key=lambda cell: not (cell.running or cell.failed))
    shown = still[:MOST_CELLS]
    chosen = set(map(id, shown))
    others = [cell for cell in cells if id(cell) not in chosen]
    return shown, [_summed(others)] if others else []


def _summed(cells: Sequence[CellStatus]) -> CellStatus:
    counts = ("done", "running", "to_measure", "to_train", "failed", "diverged")
    return CellStatus(
        batch_size=0,
        learning_rate=math.nan,
        **{name: sum(getattr(cell, name) for cell in cells) for name in counts},
        seconds_left=latest([cell.seconds_left for cell in cells if is_open(cell)]),
    )


def cell_texts(cell: CellStatus, others: Sequence[CellStatus]) -> tuple[str, str]:
    """Return a cell's batch size and learning rate; of the sum of other cells, that it is one."""
    if any(cell is other for other in others):
        return "other", "cells"
    return str(cell.batch_size), f"{cell.learning_rate:g}"


def is_open(cell: CellStatus) -> bool:
    """Return whether a trial of the cell is not done."""
    return bool(cell.running or cell.to_measure or cell.to_train or cell.failed)


def running_text(cell: CellStatus) -> str:
    """Return how many trials of a cell run, and the epoch of the furthest."""
    if cell.running and cell.furthest_epoch is not None and cell.epochs:
        return f"{cell.running} (epoch {cell.furthest_epoch}/{cell.epochs})"
    return str(cell.running) if cell.running else "·"


def what_runs(status: SweepStatus, *, has_epochs: bool = True) -> str:
    """Return what the live attempts do, by cell: `32, 0.05: epoch 3/12 and traces`."""
    doing: dict[str, list[str]] = {}
    for beat in status.running:
        progress = beat.progress
        is_in_epoch = has_epochs and beat.statistic is None and progress.epoch is not None
        epoch = f"epoch {(progress.epoch or 0) + 1}/{progress.epochs}"
        what = epoch if is_in_epoch else beat.statistic or progress.phase
        doing.setdefault(cell_name(status, beat), []).append(what)
    return "; ".join(
        f"{cell}: {' and '.join(dict.fromkeys(parts))}" for cell, parts in doing.items()
    )


def cell_name(status: SweepStatus, beat: Heartbeat) -> str:
    """Return batch size and learning rate of a live attempt's trial; its id where it is of no cell."""
    cell = status.trial_cells.get(beat.trial_id)
    return beat.trial_id[:10] if cell is None else f"{cell[0]}, {cell[1]:g}"


def _left_text(cell: CellStatus) -> str:
    return duration(cell.seconds_left) if is_open(cell) else "·"


def device_table(status: SweepStatus) -> Table:
    """Tabulate what runs on each GPU, one row per attempt, with the share held of its device."""
    table = WholeTable(title="running now")
    for heading in ("host", "GPU (held)", "BS, LR", "trial", "share", "doing", "progress"):
        justify: Literal["left", "right"] = "right" if heading == "share" else "left"
        width = _WIDTHS.get(heading)
        table.add_column(heading, no_wrap=width is None, justify=justify, max_width=width)
    for use in device_use(status.running):
        is_gpu = use.device != NO_DEVICE
        for number, beat in enumerate(use.attempts):
            held = f"{use.device} ({100 * use.share:.0f} %)" if is_gpu else NO_DEVICE
            table.add_row(
                *((Text(use.host), held) if number == 0 else ("", "")),
                cell_name(status, beat),
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
        rate = plain(pace.trials_per_hour, 3)
        parts.append(f"{pace.num_finished:,} trials finished {_window_text(pace)}: {rate}/h")
    if pace is not None and pace.steps_per_second is not None:
        parts.append(f"{plain(pace.steps_per_second, 3)} training steps/s")
    if status.num_done < status.num_trials:
        is_idle = not status.running
        parts.append("nothing runs" if is_idle else time_left(status.seconds_left))
    return parts


def _window_text(pace: Throughput) -> str:
    if math.isinf(pace.window_seconds):
        return f"in {duration(pace.worked_seconds)} of work"
    window = "in the last hour"
    if pace.since != "an hour ago":
        window = f"in {duration(pace.window_seconds)}, since {pace.since} began"
    has_paused = pace.worked_seconds < _STEADY * pace.window_seconds
    return f"{window}, {duration(pace.worked_seconds)} of it worked" if has_paused else window


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
