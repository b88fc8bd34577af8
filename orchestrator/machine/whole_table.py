"""A table that hides nothing: where a terminal is too narrow for it, each value has a line of its own."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.style import StyleType
from rich.table import Column, Table
from rich.text import Text

from workers.contract.printable import printable

_NARROWEST = 8
"""Of a column that may be folded, where its words are longer."""

_FRAME = 3
"""What a column takes beside its text: a line and a space on either side."""


class WholeTable(Table):
    """A table of Rich whose values are never cut; columns fold unless they are `no_wrap`."""

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
        needed = 1 + sum(_needed_width(column) + _FRAME for column in self.columns)
        if needed <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield Text(str(self.title or ""), style="table.title")
        rows = zip(*(list(column.cells) for column in self.columns), strict=True)
        for row in rows:
            for column, cell in zip(self.columns, row, strict=True):
                yield Text(f"{' '.join(str(column.header).split())}: {cell}", overflow="fold")
            yield Text("")


def _needed_width(column: Column) -> int:
    texts = [str(column.header), *map(str, column.cells)]
    if column.no_wrap:
        return max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    longest = max((cell_len(word) for text in texts for word in text.split()), default=0)
    return min(longest, _NARROWEST)
