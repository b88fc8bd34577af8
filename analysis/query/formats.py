"""The result of a query as a table in plain text, CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from analysis.text.number_text import NOTHING
from analysis.text.text_table import TextTable, render
from workers.contract.errors import user_error

_WHERE, _MEND = "the SQL given", "cast it to text: CAST(… AS VARCHAR)"


def as_text(table: pa.Table) -> str:
    """Return the rows as plain text; nulls as a dash, floats with up to six digits."""
    columns = tuple(table.schema.names)
    rows = tuple(tuple(_shown(value) for value in row) for row in _rows(table))
    count = f"{table.num_rows} row{'' if table.num_rows == 1 else 's'}"
    return render(TextTable("", columns, rows, (count,), num_left=len(columns))).lstrip("\n") + "\n"


def as_csv(table: pa.Table) -> str:
    """Return CSV with a heading; nulls empty, lists as JSON, times ISO 8601."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.schema.names)
    for row in _rows(table):
        writer.writerow([_csv_value(value) for value in row])
    return stream.getvalue()


def as_json(table: pa.Table) -> str:
    """Return a JSON list of one object per row; null also for numbers that are not finite."""
    names = table.schema.names
    rows = [dict(zip(names, map(_json_value, row), strict=True)) for row in _rows(table)]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
        UserError: Python has no such value, as for a year outside 1 to 9999.
    """
    columns = [_values(table, index) for index in range(table.num_columns)]
    return zip(*columns, strict=True)


def _values(table: pa.Table, index: int) -> list[object]:
    try:
        values: list[object] = table.column(index).to_pylist()
    except (ArithmeticError, ValueError, pa.ArrowException) as error:
        raise user_error(
            f"the column {table.schema.names[index]!r} holds a value that cannot be shown: {error}",
            where=_WHERE,
            mend=_MEND,
        ) from error
    return values


def _shown(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value.replace("\n", "⏎")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return json.dumps(_json_value(value), ensure_ascii=False)


def _csv_value(value: object) -> object:
    plain = _json_value(value)
    if isinstance(value, float):  # NaN and infinity have a text in CSV
        return repr(value)
    if isinstance(plain, list | dict):
        return json.dumps(plain, ensure_ascii=False)
    return plain


def _json_value(value: object) -> JsonValue:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
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
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
