"""A table of strings, as the command line prints and the report shows."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

_WIDTH = 120


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are ready to read.

    Attributes:
        title: One line.
        columns: Headings.
        rows: Each has as many strings as there are columns.
        notes: Sentences below the table.
        num_left: How many columns, from the first, are aligned to the left; the others to the
            right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    num_left: int = 0


def render(table: TextTable) -> str:
    """Return a table in plain text, two spaces between columns, notes wrapped at 120 columns."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    laid = [_line(line, widths, table.num_left) for line in lines]
    rule = "  ".join("─" * width for width in widths)
    notes = (line for note in table.notes for line in textwrap.wrap(note, _WIDTH))
    return "\n".join([table.title, laid[0], rule, *laid[1:], *notes])


def _line(texts: tuple[str, ...], widths: list[int], num_left: int) -> str:
    placed = [
        text.ljust(width) if place < num_left else text.rjust(width)
        for place, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()
