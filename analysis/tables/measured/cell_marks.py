"""How tables name a cell, and mark one that is incomplete or has diverged."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.records.cell import Cell
from analysis.records.cell_states import CellState
from analysis.text.number import written

INCOMPLETE, DIVERGED = "*", "†"


def cell_texts(cell: Cell, ratio: str, seeds: str, state: CellState) -> tuple[str, str, str, str]:
    """Return a cell's entries under `CELL_COLUMNS`, its seeds with the marks of its state."""
    size, rate = written(cell.batch_size, "d"), written(cell.learning_rate)
    return (ratio, size, rate, seeds + mark(state))


def cell_head(cell: Cell, state: CellState) -> str:
    """Return a cell's name as the head of a column: `100, 0.1`, with its marks."""
    return f"{cell.batch_size}, {cell.learning_rate:g}{mark(state)}"


def mark(state: CellState) -> str:
    """Return the marks of a cell: incomplete, diverged, both or neither."""
    return INCOMPLETE * bool(state.num_missing) + DIVERGED * bool(state.num_diverged)


def mark_notes(states: Mapping[Cell, CellState]) -> list[str]:
    """Explain the marks that occur."""
    notes = []
    if any(state.num_missing for state in states.values()):
        notes.append(f"{INCOMPLETE} not every seed is trained and measured.")
    if any(state.num_diverged for state in states.values()):
        notes.append(
            f"{DIVERGED} a seed diverged: it has no minimum to measure and counts nowhere."
        )
    return notes
