"""A cell, which is what trials are averaged over, and rows arranged by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

CELL_COLUMNS = ["loss", "batch_size", "learning_rate"]
"""What defines a cell: its trials differ only by their seed."""


@dataclass(frozen=True, order=True)
class Cell:
    """Trials that differ only by their seed.

    Attributes:
        loss: Name of the loss.
        batch_size: m.
        learning_rate: Initial η.
    """

    loss: str
    batch_size: int
    learning_rate: float

    @property
    def batch_size_over_learning_rate(self) -> float:
        """m/η, on which alone the stationary state of the continuous-time limit depends."""
        return self.batch_size / self.learning_rate


def by_ratio(cells: Iterable[Cell]) -> list[Cell]:
    """Sort cells by BS/LR, then by BS, as legends list them."""
    return sorted(cells, key=lambda cell: (cell.batch_size_over_learning_rate, cell))


def groups_by_cell(frame: pd.DataFrame) -> list[tuple[Cell, pd.DataFrame]]:
    """Split rows by their cell; cells are sorted."""
    cells = cells_of(frame[CELL_COLUMNS].drop_duplicates().sort_values(CELL_COLUMNS))
    groups = (group for _, group in frame.groupby(CELL_COLUMNS, sort=True))
    return list(zip(cells, groups, strict=True))


def cells_of(rows: pd.DataFrame) -> list[Cell]:
    """Return the cell of each row."""
    columns = [rows[name].tolist() for name in CELL_COLUMNS]
    return [Cell(*values) for values in zip(*columns, strict=True)]
