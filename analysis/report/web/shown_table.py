"""Tables as the page shows them: numbers as scientists write them, nothing that is empty."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from analysis.report.web.page import Table
from analysis.report.web.shown_number import common_exponent, page_text, plain_parts, prose_text
from analysis.text.named import Named
from analysis.text.number import Number, power
from analysis.text.number_text import NOTHING
from analysis.text.text_table import TextTable

MOST_ROWS = 200
"""Of a table in the page: of more, which no one reads and a browser is slow to lay out, the file has the rest."""

_LONG_TEXT = 40
_PARTS, _NONE = ("", " stderr", " low", " high"), ("", "", "", "")
_IDENTIFIER = " identifier"
_VERDICTS = ("holds", "agrees", "fails", "undecided")


@dataclass(frozen=True)
class ShownCell:
    """A cell: its text, its classes, and its parts as numbers (empty where it is none).

    Attributes:
        text: As shown.
        kind: Classes of the style sheet.
        numbers: Value, error, low and high as plain decimals, empty where there is none.
        identifier: What records call it, beside the text; empty where the text is all.
    """

    text: str
    kind: str
    numbers: tuple[str, str, str, str] | None
    identifier: str = ""

    @property
    def numbers_beside(self) -> str:
        """Its numbers as the page has them beside the text, joined by semicolons; empty where the text is the number."""
        joined = ";".join(self.numbers or ()).rstrip(";")
        return "" if joined == self.text else joined


@dataclass(frozen=True)
class ShownColumn:
    """A column's head.

    Attributes:
        head: As shown, with the power of ten of all its numbers.
        kind: Classes of the style sheet.
        is_numeric: Whether it is sorted by value.
        shown_with: Words of the choices it is shown with.
    """

    head: str
    kind: str
    is_numeric: bool
    shown_with: str


@dataclass(frozen=True)
class ShownTable:
    """A table ready for its template."""

    title: str
    columns: list[ShownColumn]
    rows: list[list[ShownCell]]
    notes: tuple[str, ...]


def shown_table(table: Table) -> ShownTable:
    """Lay out a table: empty columns and rows dropped, one power of ten a column."""
    content = table.content
    filled = _filled(table)
    rows, num_rows = filled[:MOST_ROWS], len(filled)
    more = (
        f"The first {MOST_ROWS} of {num_rows:,} rows, which alone are sorted, filtered, copied and printed; all "
        f"are in tables/{file_name(content)}, beside figures/."
    )
    notes = (*content.notes, more) if num_rows > MOST_ROWS else content.notes
    places = [
        place
        for place in range(len(content.columns))
        if not rows or any(row[place] not in ("", NOTHING) for row in rows)
    ]
    columns, by_column = [], []
    for place in places:
        is_left = place < content.num_left
        column, cells = _column(
            content.columns[place], [row[place] for row in rows], is_left=is_left
        )
        words = table.shown_with[place] if table.shown_with else ""
        columns.append(ShownColumn(column.head, column.kind, column.is_numeric, words))
        by_column.append(cells)
    shown = [list(cells) for cells in zip(*by_column, strict=True)]
    return ShownTable(content.title, columns, shown, notes)


def is_cut(table: Table) -> bool:
    """Whether the page shows only the first of a table's rows."""
    return len(_filled(table)) > MOST_ROWS


def file_name(content: TextTable) -> str:
    """Return the name of the file of a table."""
    return re.sub(r"[^a-z0-9]+", "-", content.title.lower()).strip("-") + ".csv"


def table_file(content: TextTable) -> str:
    """Return a whole table as CSV: of numbers value, stderr, low and high, of names the identifiers too."""
    columns: list[list[str]] = []
    for place, head in enumerate(content.columns):
        texts = [row[place] for row in content.rows]
        if any(isinstance(text, Named) for text in texts):
            titles = [text.human_name if isinstance(text, Named) else text for text in texts]
            columns += [[head, *titles], [head + _IDENTIFIER, *texts]]
            continue
        parts = [plain_parts(text) if isinstance(text, Number) else None for text in texts]
        if not any(parts) or any(
            not part and text not in ("", NOTHING) for part, text in zip(parts, texts, strict=True)
        ):
            columns.append([head, *texts])
            continue
        for name, numbers in zip(_PARTS, zip(*(part or _NONE for part in parts), strict=True), strict=True):  # fmt: skip
            if not name or any(numbers):
                columns.append([head + name, *numbers])
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(zip(*columns, strict=True))
    return stream.getvalue()


def _filled(table: Table) -> list[tuple[str, ...]]:
    return [row for row in table.content.rows if not _is_empty(row, table.num_keys)]


def _is_empty(row: tuple[str, ...], num_keys: int | None) -> bool:
    return num_keys is not None and all(text in ("", NOTHING) for text in row[num_keys:])


def _column(head: str, texts: list[str], *, is_left: bool) -> tuple[ShownColumn, list[ShownCell]]:
    filled = [text for text in texts if text not in ("", NOTHING)]
    numbers = [text for text in filled if isinstance(text, Number)]
    is_numeric = bool(filled) and len(numbers) == len(filled)
    exponent = common_exponent(numbers) if is_numeric else None
    cells = [_cell(text, exponent, is_numeric=is_numeric, is_left=is_left) for text in texts]
    scale = f" ({power(exponent)})" if exponent else ""
    kind = "left" if is_left else ""
    return ShownColumn(f"{head}{scale}", kind, is_numeric, ""), cells


def _cell(text: str, exponent: int | None, *, is_numeric: bool, is_left: bool) -> ShownCell:
    if is_numeric and isinstance(text, Number):
        kind = "left" if is_left else ""
        return ShownCell(page_text(text, exponent), kind, plain_parts(text))
    kinds = ["left"] if is_left else []
    if len(text) > _LONG_TEXT:
        kinds = ["left", "wrap"]
    if text in _VERDICTS:
        kinds.append(text)
    if isinstance(text, Named):
        return ShownCell(text.human_name, " ".join(kinds), None, identifier=str(text))
    return ShownCell(prose_text(text) if len(text) > _LONG_TEXT else text, " ".join(kinds), None)
