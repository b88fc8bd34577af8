"""The result of a query as a table in plain text, CSV, JSON or Parquet.

In none but Parquet does a text hold characters that steer a terminal: JSON and tables have their
escapes, CSV too. In CSV a text that a spreadsheet would take for a formula has ' before it; numbers never do.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from analysis.text.number import typeset
from analysis.text.number_text import NOTHING
from analysis.text.text_table import TextTable, render
from workers.contract.errors import user_error
from workers.contract.printable import on_one_line, printable, printable_json

_FORMULA = re.compile(r"[=+\-@\t\r]")

_WHERE, _MEND = "the SQL given", "cast it to text: CAST(… AS VARCHAR)"

_LARGEST_PRINTED_BYTES = 5 * 10**7
"""Of a result in Arrow's memory, written as text: as Python's values it takes ten times that, and seconds."""


def as_text(table: pa.Table, width: int | None = None) -> str:
    """Return the rows as plain text; nulls as a dash, floats with up to six digits.

    Columns without any value are named below and left out. A table wider than the terminal is
    written as records; `width` None is no limit.
    """
    places = _places_with_values(table)
    names = tuple(map(on_one_line, table.schema.names))
    shown = TextTable(
        "",
        tuple(names[place] for place in places),
        tuple(tuple(_shown(row[place]) for place in places) for row in _rows(table)),
        tuple(_notes(table, [name for place, name in enumerate(names) if place not in places])),
        left=frozenset(
            position
            for position, place in enumerate(places)
            if not _is_numeric(table.schema.types[place])
        ),
    )
    return render(shown, width).lstrip("\n") + "\n"


def _places_with_values(table: pa.Table) -> list[int]:
    """Return the places of columns that hold a value; all where none does."""
    columns = range(table.num_columns)
    found = [place for place in columns if table.column(place).null_count < table.num_rows]
    return found or list(columns)


def _notes(table: pa.Table, empty: list[str]) -> list[str]:
    count = f"{table.num_rows} row{'' if table.num_rows == 1 else 's'}"
    return [count, *([f"Left out, as no row has a value: {', '.join(empty)}."] if empty else [])]


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def as_csv(table: pa.Table) -> str:
    """Return CSV with a heading; nulls empty, lists and maps as JSON, times ISO 8601, numbers as they are."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_csv_text(name) for name in table.schema.names])
    for row in _rows(table):
        writer.writerow([_csv_value(value) for value in row])
    return stream.getvalue()


def as_json(table: pa.Table) -> str:
    """Return a JSON list of one object per row; null also for numbers that are not finite."""
    names = table.schema.names
    rows = [dict(zip(names, map(_json_value, row), strict=True)) for row in _rows(table)]
    return printable_json(json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def as_parquet(table: pa.Table) -> bytes:
    """Return the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd")
    except pa.ArrowException as error:
        raise user_error(
            f"the result cannot be written as Parquet: {error}", where=_WHERE, mend=_MEND
        ) from error
    content: bytes = sink.getvalue().to_pybytes()
    return content


FORMATS: dict[str, Callable[[pa.Table], str | bytes]] = {
    "table": as_text,
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}
"""By the values of the option `--format`."""


def _rows(table: pa.Table) -> Iterator[tuple[object, ...]]:
    """Return the rows as Python values.

    Raises:
        UserError: They are too many, or Python has no such value, as for a year outside 1 to 9999.
    """
    if table.nbytes > _LARGEST_PRINTED_BYTES:
        raise user_error(
            f"the result of {table.nbytes / 1e6:,.0f} MB is too large to be written as text",
            where=_WHERE,
            mend="ask for fewer columns or rows, or take --format parquet",
        )
    columns = [_values(table, index) for index in range(table.num_columns)]
    return zip(*columns, strict=True)


def _values(table: pa.Table, index: int) -> list[object]:
    try:
        values: list[object] = _unfolded(table.column(index))
    except (ArithmeticError, ValueError, pa.ArrowException) as error:
        raise user_error(
            f"the column {table.schema.names[index]!r} holds a value that cannot be shown: {error}",
            where=_WHERE,
            mend=_MEND,
        ) from error
    return values


def _unfolded(column: pa.ChunkedArray[Any]) -> list[object]:
    """Return the values of Python; a map as a dict, or as pairs where its keys are lists or the like."""
    if "[ns]" in str(column.type):
        pa.nulls(0).to_pandas()  # PyArrow takes pandas for nanoseconds, and looks for it once more
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (TypeError, KeyError):
        return list(column.to_pylist())


def _shown(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return typeset(f"{value:.6g}")
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return typeset(str(_json_value(value)))
    if isinstance(value, str):
        return on_one_line(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    plain = _json_value(value)
    return on_one_line(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))


def _csv_value(value: object) -> object:
    plain = _json_value(value)
    if isinstance(value, float):  # NaN and infinity have a text in CSV
        return repr(value)
    if isinstance(plain, list | dict):
        return printable_json(json.dumps(plain, ensure_ascii=False))
    return _csv_text(plain) if isinstance(plain, str) else plain


def _csv_text(text: str) -> str:
    """Return a text that is none but itself, in a terminal as in a spreadsheet."""
    return printable(f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json_value(value: object) -> JsonValue:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, pa.MonthDayNano):
        return _interval(value)
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    return _json_scalar(value)


def _json_scalar(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):  # DuckDB's sums of whole numbers are decimals
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _bytes(value)
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def _interval(span: pa.MonthDayNano) -> str:
    """Write an interval as SQL reads it: 1 year 2 months 3 days 04:05:06.7, its parts each with their sign."""
    years, months = divmod(abs(span.months), 12)
    sign = "-" if span.months < 0 else ""
    counts = ((sign, years, "year"), (sign, months, "month"), ("", span.days, "day"))
    parts = [
        f"{sign}{count} {unit}{'' if abs(count) == 1 else 's'}"
        for sign, count, unit in counts
        if count
    ]
    if span.nanoseconds or not parts:
        seconds, nanoseconds = divmod(abs(span.nanoseconds), 10**9)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
        parts.append(f"{'-' if span.nanoseconds < 0 else ''}{clock}{fraction}")
    return " ".join(parts)


def _bytes(value: bytes) -> str:
    r"""Write bytes as SQL reads them: printable ASCII as it is, all others as \xAA."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != ord("\\") else f"\\x{byte:02X}"
        for byte in value
    )
