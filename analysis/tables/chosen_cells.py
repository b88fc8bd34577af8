"""Which cells stand in a table that cannot hold all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

MOST_COLUMNS = 12
"""Cells beside each other in one table."""

MOST_TABULATED = 60
"""Cells of which every number is in the page."""


def chosen(cells: Sequence[Item]) -> list[Item]:
    """Choose the cells of a table: all up to `MOST_TABULATED`, of more twelve."""
    return list(cells) if len(cells) <= MOST_TABULATED else evenly_chosen(cells)


def evenly_chosen(cells: Sequence[Item], most: int = MOST_COLUMNS) -> list[Item]:
    """Choose at most so many, first and last included, evenly by their place."""
    if len(cells) <= most:
        return list(cells)
    return [cells[round(place * (len(cells) - 1) / (most - 1))] for place in range(most)]
