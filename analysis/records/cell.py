"""A cell, which is what trials are averaged over, and rows arranged by it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analysis.text.number_text import ungrouped

CELL_COLUMNS = ["loss", "batch_size", "learning_rate"]
"""What defines a cell: its trials differ only by their seed."""

_FEWEST_DIGITS, _MOST_DIGITS = 3, 11
"""Of BS/LR as text; with the most, values that differ by more than rounding are told apart."""


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


def ratio_places(cells: Iterable[Cell]) -> dict[Cell, int]:
    """Number the values of BS/LR upward from 0; those that differ by rounding alone are one."""
    places: dict[Cell, int] = {}
    place, last = -1, math.nan
    for cell in by_ratio(cells):
        ratio = cell.batch_size_over_learning_rate
        if not math.isclose(ratio, last, rel_tol=1e-9):
            place, last = place + 1, ratio
        places[cell] = place
    return places


def ratio_texts(cells: Iterable[Cell]) -> dict[Cell, str]:
    """Return BS/LR of cells as text: three significant digits, or as many as tell its values apart."""
    places = ratio_places(cells)
    ratios = {place: cell.batch_size_over_learning_rate for cell, place in places.items()}
    for num_digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        texts = {place: ungrouped(ratio, num_digits) for place, ratio in ratios.items()}
        if len(set(texts.values())) == len(texts):
            break
    return {cell: texts[place] for cell, place in places.items()}


def groups_by_cell(frame: pd.DataFrame) -> list[tuple[Cell, pd.DataFrame]]:
    """Split rows by their cell; cells are sorted."""
    cells = cells_of(frame[CELL_COLUMNS].drop_duplicates().sort_values(CELL_COLUMNS))
    groups = (group for _, group in frame.groupby(CELL_COLUMNS, sort=True, observed=True))
    return list(zip(cells, groups, strict=True))


def cells_of(rows: pd.DataFrame) -> list[Cell]:
    """Return the cell of each row."""
    columns = [rows[name].tolist() for name in CELL_COLUMNS]
    return [Cell(*values) for values in zip(*columns, strict=True)]
