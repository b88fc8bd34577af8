"""Sweeps as `minima status` shows them: once, or again and again until the last trial is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.machine.console import Output, PrintableConsole
from orchestrator.monitor.status import SweepStatus
from orchestrator.monitor.tables import (
    device_table,
    failure_table,
    pace_parts,
    silence_line,
    status_table,
)
from workers.contract.errors import StoreError

_WATCH_SECONDS = 5.0


def watch(
    look: Callable[[], list[SweepStatus]],
    output: Output,
    wait: Callable[[float], None] = time.sleep,
) -> list[SweepStatus]:
    """Look every few seconds until every trial is done, and return what was seen last.

    A terminal is redrawn; elsewhere the first look is shown whole, then a line for each change of a
    sweep's counts. A store that is unreachable for a moment is read again.
    """
    states = look()
    console = PrintableConsole()
    if output.is_json:
        return _follow(states, look, wait, lambda _: None)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:

            def redraw(seen: list[SweepStatus]) -> None:
                live.update(status_view(seen, is_single_look=False), refresh=True)

            redraw(states)
            return _follow(states, look, wait, redraw)
    output.show(status_view(states, is_single_look=False))
    shown = {state.sweep: _counts(state) for state in states}

    def show_changes(seen: list[SweepStatus]) -> None:
        for state in seen:
            if shown.get(state.sweep) != _counts(state):
                shown[state.sweep] = _counts(state)
                output.show(change_line(state))

    return _follow(states, look, wait, show_changes)


def _follow(
    states: list[SweepStatus],
    look: Callable[[], list[SweepStatus]],
    wait: Callable[[float], None],
    show: Callable[[list[SweepStatus]], None],
) -> list[SweepStatus]:
    while any(state.num_done < state.num_trials for state in states):
        wait(_WATCH_SECONDS)
        try:
            states = look()
        except StoreError:
            continue
        show(states)
    return states


def status_view(states: Sequence[SweepStatus], *, is_single_look: bool) -> RenderableType:
    """Return the full view of sweeps: cells, what each GPU does, the pace, and what failed."""
    parts: list[RenderableType] = []
    for state in states:
        parts.append(status_table(state))
        if state.running:
            parts.append(device_table(state))
        lines = [*pace_parts(state), silence_line(state, is_single_look=is_single_look)]
        parts += [Text(line) for line in lines if line]
        if state.failures:
            parts.append(failure_table(state.failures))
    return Group(*parts)


def change_line(state: SweepStatus) -> str:
    """Return a sweep's counts in one line."""
    _, done, running, to_measure, to_train, failed = _counts(state)
    counts = (
        f"{state.sweep}: {done} of {state.num_trials} trials done, {running} running, "
        f"{to_measure} to measure, {to_train} to train, {failed} failed"
    )
    return "; ".join([counts, *pace_parts(state)])


def _counts(state: SweepStatus) -> tuple[str, int, int, int, int, int]:
    cells = state.cells
    return (
        state.revision,
        state.num_done,
        sum(cell.running for cell in cells),
        sum(cell.to_measure for cell in cells),
        sum(cell.to_train for cell in cells),
        sum(cell.failed for cell in cells),
    )
