"""A table that hides nothing: where a terminal is too narrow for it, each value has a line of its own."""

from __future__ import annotations

import textwrap

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.style import StyleType
from rich.table import Column, Table
from rich.text import Text

from workers.contract.printable import printable

NOTHING = "·"
"""What stands where there is nothing to count or to tell."""

_NARROWEST = 8
"""Of a column that may be folded, where its words are longer."""

_NARROWEST_VALUE = 12
"""Of a value beside its heading, where a row is written as a block."""

_FRAME = 3
"""What a column takes beside its text: a line and a space on either side."""


class WholeTable(Table):
    """A table of Rich whose values are never cut; columns fold unless they are `no_wrap`.

    Where it is too wide, columns without any value are left out and named below; where that is not
    enough, each row becomes a block with a line for each of its values.
    """

    def add_row(
        self,
        *cells: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        """Add a row of texts, taken as they are but for what would steer the terminal."""
        texts = (Text(printable("" if cell is None else str(cell))) for cell in cells)
        super().add_row(*texts, style=style, end_section=end_section)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for column in self.columns:
            column.overflow = "fold"
        all_columns, empty = self.columns, [each for each in self.columns if _is_empty(each)]
        title, self.title = self.title, None  # above the table, and not folded to its width
        yield Text(str(title or ""), style="table.title")
        if self._is_wider_than(options) and len(empty) < len(all_columns):
            self.columns = [each for each in all_columns if each not in empty]
        else:
            empty = []
        try:
            if self._is_wider_than(options):
                yield from self._records(options.max_width)
            else:
                yield from super().__rich_console__(console, options)
        finally:
            self.columns, self.title = all_columns, title
        if empty:
            names = ", ".join(map(_heading, empty))
            yield Text(f"Left out, as nothing stands there: {names}.", overflow="fold")

    def _is_wider_than(self, options: ConsoleOptions) -> bool:
        return 1 + sum(_needed_width(each) + _FRAME for each in self.columns) > options.max_width

    def _records(self, width: int) -> RenderResult:
        rows = list(zip(*(list(column.cells) for column in self.columns), strict=True))
        headings = max(cell_len(_heading(column)) for column in self.columns)
        room = width - headings - 2
        for number, row in enumerate(rows, start=1):
            yield Text(f"─ {number} of {len(rows)} ".ljust(min(width, 40), "─"))
            for column, cell in zip(self.columns, row, strict=True):
                if room < _NARROWEST_VALUE:  # values stand below their headings
                    lines = [_heading(column), *(f"  {part}" for part in _folded(cell, width - 2))]
                else:
                    parts = iter(_folded(cell, room))
                    lines = [f"{_heading(column):{headings}}  {next(parts)}"]
                    lines += [f"{'':{headings}}  {part}" for part in parts]
                yield from (Text(line.rstrip(), overflow="fold") for line in lines)


def _folded(cell: object, width: int) -> list[str]:
    lines = str(cell).splitlines()
    folded = (textwrap.wrap(line, max(1, width), break_on_hyphens=False) for line in lines)
    return [part for parts in folded for part in parts] or [""]


def _heading(column: Column) -> str:
    return " ".join(str(column.header).split())


def _is_empty(column: Column) -> bool:
    return all(str(cell) in {"", NOTHING} for cell in column.cells)


def _needed_width(column: Column) -> int:
    texts = [str(column.header), *map(str, column.cells)]
    if column.no_wrap:
        return max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    longest = max((cell_len(word) for text in texts for word in text.split()), default=0)
    return min(longest, _NARROWEST)
