"""Which cells stand in a table that cannot hold all."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.mathematics.evenly_chosen import Item, evenly_chosen

MOST_COLUMNS = 12
"""Cells beside each other in one table."""

MOST_TABULATED = 60
"""Cells of which every number is in the page."""


def chosen(cells: Sequence[Item]) -> list[Item]:
    """Choose the cells of a table: all up to `MOST_TABULATED`, of more twelve."""
    return list(cells) if len(cells) <= MOST_TABULATED else evenly_chosen(cells, MOST_COLUMNS)
