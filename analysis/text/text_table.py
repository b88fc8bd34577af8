"""A table of strings, as the command line prints and the report shows."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

from analysis.text.named import Named
from analysis.text.number_text import NOTHING

_WIDTH = 120
_NARROWEST = 16
"""Of the values in a record: where less is left beside the headings, they stand below these."""


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are ready to read.

    Attributes:
        title: One line.
        columns: Headings.
        rows: Each has as many strings as there are columns; a `Number` keeps what it was written from,
            a `Named` is an identifier with its name.
        notes: Sentences below the table.
        num_left: How many columns, from the first, are aligned to the left; the others to the
            right.
        left: Columns aligned to the left beside those, by their places.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    num_left: int = 0
    left: frozenset[int] = frozenset()


def render(table: TextTable, width: int | None = None) -> str:
    """Return a table in plain text, identifiers by their names, notes wrapped at 120 columns.

    Args:
        table: What to lay out.
        width: Columns of the terminal. A table that is wider loses the columns without any value
            and has its headings folded; where that is not enough it is written as records, a block
            for each row with a line for each value. Nothing is cut. None: however wide it gets.
    """
    table = _by_names(table)
    lines = _laid(table)
    if width is not None and max(map(len, lines)) > width:
        table = _without_empty_columns(table)
        lines = _laid(table, is_folded=True)
        if max(map(len, lines)) > width:
            lines = _records(table, width)
    limit = _WIDTH if width is None else min(width, _WIDTH)
    title = [table.title] if width is None else textwrap.wrap(table.title, width) or [""]
    notes = (line for note in table.notes for line in textwrap.wrap(note, limit))
    return "\n".join([*title, *lines, *notes])


def _by_names(table: TextTable) -> TextTable:
    rows = (
        tuple(text.human_name if isinstance(text, Named) else text for text in row)
        for row in table.rows
    )
    return replace(table, rows=tuple(rows))


def _without_empty_columns(table: TextTable) -> TextTable:
    """Return a table without the columns that hold nothing, which a note then names."""
    places = range(len(table.columns))
    kept = [place for place in places if any(row[place] != NOTHING for row in table.rows)]
    if len(kept) in {0, len(table.columns)}:
        return table
    left = table.left | set(range(table.num_left))
    lost = dict.fromkeys(table.columns[place] for place in places if place not in kept)
    return TextTable(
        table.title,
        tuple(table.columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in table.rows),
        (*table.notes, f"Left out, as no row has a value: {', '.join(lost)}."),
        left=frozenset(position for position, place in enumerate(kept) if place in left),
    )


def _laid(table: TextTable, *, is_folded: bool = False) -> list[str]:
    """Return the headings, a rule, and a line for each row; headings folded to their values' width."""
    columns = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    values = [max(map(len, texts), default=0) for texts in columns]
    headings = [
        _folded(heading, max([values[place], *map(len, heading.split())]))
        if is_folded
        else [heading]
        for place, heading in enumerate(table.columns)
    ]
    widths = [max(value, *map(len, parts)) for value, parts in zip(values, headings, strict=True)]
    height = max(map(len, headings), default=1)
    raised = [[""] * (height - len(parts)) + parts for parts in headings]
    left = table.left | set(range(table.num_left))
    heads = [_line(line, widths, left) for line in zip(*raised, strict=True)]
    rule = "  ".join("─" * width for width in widths)
    return [*heads, rule, *(_line(row, widths, left) for row in table.rows)]


def _line(texts: tuple[str, ...], widths: list[int], left: frozenset[int]) -> str:
    placed = [
        text.ljust(width) if place in left else text.rjust(width)
        for place, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()


def _records(table: TextTable, width: int) -> list[str]:
    """Return a block for each row: its number in a rule, then heading and value a line."""
    headings = max(map(len, table.columns), default=0)
    found = []
    for number, row in enumerate(table.rows, start=1):
        found.append(f"─ {number} of {len(table.rows)} ".ljust(min(width, 40), "─"))
        for heading, value in zip(table.columns, row, strict=True):
            found += _entry(heading, value, headings, width)
    return found or [", ".join(table.columns)]


def _entry(heading: str, value: str, headings: int, width: int) -> list[str]:
    room = width - headings - 2
    if room < min(_NARROWEST, len(value)):
        return [
            *textwrap.wrap(heading, width),
            *(f"  {part}" for part in _folded(value, width - 2)),
        ]
    parts = _folded(value, room)
    return [
        f"{heading if place == 0 else '':{headings}}  {part}".rstrip()
        for place, part in enumerate(parts)
    ]


def _folded(value: str, width: int) -> list[str]:
    return textwrap.wrap(value, max(1, width), break_on_hyphens=False) or [""]
