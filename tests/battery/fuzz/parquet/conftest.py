"""Damages of Parquet files: of their columns, of their metadata, of their bytes; each told in a few words."""

from __future__ import annotations

import decimal
import hashlib
import random
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Draw = random.Random

TEXTS = [
    "", "x", "\0", "\x1b[31m", "../..", "a/b", ".", "é" * 50, "x" * 5000, "{}", "[" * 2000, "null", '{"name": 7}', "9" * 5000,
    "True", "0001-01-01", "2026-11-28T13:52:36+00:00", "9999-12-31T23:59:59-23:59", "nan", "converged", "trials", "' OR 1=1; --",
]  # fmt: skip
TYPED: list[tuple[object, pa.DataType]] = [
    (7, pa.int8()), (7, pa.uint64()), (2**63, pa.uint64()), (7, pa.int64()), (0.5, pa.float32()), (0.5, pa.float64()),
    (True, pa.bool_()), ("x", pa.string()), ("x", pa.large_string()), (b"\xff", pa.binary()), (b"1234", pa.binary(4)),
    ([1], pa.list_(pa.int64())), ([], pa.list_(pa.null())), ({"a": 1}, pa.struct([("a", pa.int64())])),
    ({"bytes": b"x", "path": None}, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ([("k", 1)], pa.map_(pa.string(), pa.int64())), (1, pa.timestamp("s")), (1, pa.timestamp("us")),
    (1, pa.timestamp("ms", tz="UTC")), (1, pa.timestamp("us", tz="Mars/Base")), (1, pa.timestamp("ns", tz="+05:30")),
    (1, pa.date32()), (1, pa.time64("us")), (1, pa.duration("s")), (decimal.Decimal("1.5"), pa.decimal128(10, 2)),
    (None, pa.null()), ("x", pa.dictionary(pa.int32(), pa.string())),
]  # fmt: skip
PARTS = [
    "[]", "7", "[[]]", '[[["x"],"2026-01-01","a",1]]', '[[["x","y"],"2026-01-01","a",1]]', '[[[],"2026-01-01","a",1]]',
    '[[["x"],"2026-01-01","a",-1]]', '[[["x"],"2026-01-01","a",1e400]]', '[[["x"],"2026-01-01","a",true]]',
    f'[[["x"],"2026-01-01","a",{10**30}]]', '[["xy","2026-01-01","a",1]]', '[[{"x":1},"2026-01-01","a",1]]', '{"x":[1,2,3,4]}',
]  # fmt: skip
"""What the label of merged files may say of their parts."""
NUMBERS = [0, 1, -1, 7, 10, 2**31, 2**63 - 1, -(2**63)]
REALS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    1e308,
    -1e308,
    5e-324,
    1e-9,
]
TIMES = [0, -1, -62_167_219_200_000_000, 2**63 - 1, 253_402_300_800_000_000, 1_795_000_000_000_000]
METADATA: list[dict[bytes | str, bytes | str] | None] = [
    None, {}, {"": ""}, {"pandas": "{"}, {"pandas": '{"index_columns": [7], "columns": 3}'}, {"ARROW:schema": "!!!!"},
    {"ARROW:schema": "/////w=="}, {"ARROW:schema": ""}, {"ARROW:schema": "A" * 400}, {"huggingface": "[" * 5000},
    {"huggingface": '{"info": {"features": {"label": {"names": 7}}}}'}, {b"\xff": b"\xfe"}, {"x": b"\0"},
    {"minima.view": "cells"}, {"minima.sha256": "x"}, {"x" * 10_000: "y" * 100_000},
]  # fmt: skip
WRITTEN: list[dict[str, object]] = [
    {}, {"store_schema": False}, {"compression": "none"}, {"compression": "zstd", "version": "1.0"},
    {"data_page_version": "2.0"}, {"use_dictionary": False}, {"write_statistics": False},
    {"write_page_index": True}, {"compression": "gzip", "use_deprecated_int96_timestamps": True, "version": "1.0"},
    {"coerce_timestamps": "ms", "allow_truncated_timestamps": True},
]  # fmt: skip


def _again(value: object, kind: pa.DataType, num_rows: int) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array([value] * num_rows, kind.value_type).dictionary_encode()
    return pa.array([value] * num_rows, kind)


def _absurd(kind: pa.DataType, draw: Draw) -> pa.Array:
    """Draw one value of a type, or a gap."""
    choices: list[tuple[Callable[[pa.DataType], bool], list[object], pa.DataType]] = [
        (pa.types.is_timestamp, TIMES, pa.int64()),
        (pa.types.is_integer, NUMBERS, pa.int64()),
        (pa.types.is_floating, REALS, pa.float64()),
        (pa.types.is_string, TEXTS, pa.string()),
        (pa.types.is_boolean, [True, False], pa.bool_()),
    ]
    if draw.random() < 0.8:
        for is_of, values, drawn in choices:
            if is_of(kind):
                return pa.array([draw.choice(values)], drawn).cast(kind, safe=False)
    return pa.nulls(1, kind)


def _other_values(column: pa.ChunkedArray, draw: Draw) -> tuple[pa.ChunkedArray, str]:
    one, num_rows = _absurd(column.type, draw), len(column)
    place = draw.randrange(num_rows) if num_rows and draw.random() < 0.7 else None
    told = f"{str(one.to_numpy(zero_copy_only=False)[0])[:20]!r} in {'every row' if place is None else f'row {place}'}"
    if place is None:
        return pa.chunked_array([one] * num_rows, column.type), told
    parts = [*column.slice(0, place).chunks, one, *column.slice(place + 1).chunks]
    return pa.chunked_array(parts, column.type), told


@pytest.fixture(scope="session")
def with_other_columns() -> Callable[[pa.Table, Draw], tuple[pa.Table, str]]:
    """Change a column of a table, or its rows or metadata; return what was done too."""

    def change(table: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
        if draw.random() < 0.2 or not table.num_columns:
            return _with_other_rows(table, draw)
        place = draw.randrange(table.num_columns)
        name, column = table.column_names[place], table.column(place)
        what = draw.choice(["values", "values", "type", "dropped", "twice", "name", "moved", "field"])  # fmt: skip
        if what == "values":
            new, told = _other_values(column, draw)
            return table.set_column(place, table.field(place), new), f"{name}: {told}"
        if what == "type":
            value, kind = draw.choice(TYPED)
            new = _again(value, kind, table.num_rows)
            return table.set_column(place, name, new), f"{name}: {kind}"
        if what in {"dropped", "moved"}:
            rest = table.remove_column(place)
            table = rest.append_column(name, column) if what == "moved" else rest
        elif what == "twice":
            table = table.append_column(name, column)
        elif what == "name":
            other = draw.choice(["x", "", name.upper(), *table.column_names, f"{name} ", "a.b"])
            table = table.set_column(place, other, column)
        else:
            metadata = draw.choice(METADATA)
            table = table.set_column(place, table.field(place).with_metadata(metadata), column)
        return table, f"{name}: {what}"

    return change


def _with_other_rows(table: pa.Table, draw: Draw) -> tuple[pa.Table, str]:
    what = draw.choice(["metadata", "metadata", "no rows", "one row", "rows twice", "rows turned", "many rows"])  # fmt: skip
    if what == "metadata":
        table = table.replace_schema_metadata(draw.choice(METADATA))
    elif what in {"no rows", "one row"}:
        table = table.slice(0, what == "one row")
    elif what == "rows turned":
        table = table.take(pa.array(reversed(range(table.num_rows)), pa.int64()))
    else:
        is_much = what == "rows twice" or table.num_rows > 100
        table = pa.concat_tables([table] * (2 if is_much else 50))
    return table, what


@pytest.fixture(scope="session")
def written() -> Callable[[pa.Table, dict[str, str], Draw], tuple[bytes, str]]:
    """Write a table as Parquet in one of several ways, with key-value metadata; what Parquet has not, as text."""

    def write(table: pa.Table, labels: dict[str, str], draw: Draw) -> tuple[bytes, str]:
        options, size = draw.choice(WRITTEN), draw.choice([None, 1, 3])
        try:
            return _as_parquet(table, labels, size, options), f"written with {options}"
        except (pa.ArrowException, ValueError):
            table = pa.table({name: ["x"] for name in dict.fromkeys(table.column_names)})
            return _as_parquet(table, labels, size, {}), "written as text"

    return write


def _as_parquet(
    table: pa.Table, labels: dict[str, str], size: int | None, options: dict[str, object]
) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=size)
        writer.add_key_value_metadata(labels)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="session")
def with_other_bytes() -> Callable[[bytes, Draw], tuple[bytes, str]]:
    """Change bytes of a file, mostly of the footer, or cut it; return what was done too."""
    return _with_other_bytes


def _with_other_bytes(content: bytes, draw: Draw) -> tuple[bytes, str]:
    size = len(content)
    footer = max(0, size - 8 - int.from_bytes(content[-8:-4], "little")) if size > 12 else 0
    first = draw.choice([footer, footer, footer, 0, max(0, size - 8)])
    place = draw.randint(min(first, size), size)
    what = draw.choice(["byte", "byte", "bit", "cut", "lost", "twice", "zeros", "length", "end", "foreign"])  # fmt: skip
    end = min(size, place + draw.choice([1, 2, 8, 100]))
    if what == "byte":
        put = bytes([draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])])
        return content[:place] + put + content[place + 1 :], f"byte {place} of {size}: {put!r}"
    if what == "bit":
        bits = bytes(byte ^ 1 << draw.randrange(8) for byte in content[place : place + 1])
        return content[:place] + bits + content[place + 1 :], f"byte {place} of {size}: {bits!r}"
    if what == "length":
        length = draw.choice([0, 1, size, size - 8, size - 12, 2**31 - 1, 2**32 - 1]) % 2**32
        return content[:-8] + length.to_bytes(4, "little") + content[-4:], f"footer of {length}"
    put = {
        "lost": content[:place] + content[end:],
        "twice": content[:end] + content[place:],
        "zeros": content[:place] + bytes(end - place) + content[end:],
        "end": content + content[place:],
        "foreign": draw.choice([b"", b"PAR1", b"PAR1PAR1", bytes(1000), b"PAR1" * 3, content[:-4] + b"PARE", b"ARROW1\0\0"]),
    }  # fmt: skip
    return put.get(what, content[:place]), f"{what} from {place} to {end} of {size}"


@pytest.fixture(scope="session")
def damaged(with_other_columns, written, with_other_bytes, signed):
    """Damage a committed file: its columns, its labels, its bytes; most often with a right digest."""

    def damage(content: bytes, draw: Draw) -> tuple[bytes, str]:
        told: list[str] = []
        kind = draw.choice(["columns", "columns", "labels", "bytes"])
        if kind != "bytes":
            file = pq.ParquetFile(pa.BufferReader(content))
            table, labels = file.read(), _labels(file)
            for _ in range(draw.choice([1, 1, 2]) if kind == "columns" else 0):
                table, what = with_other_columns(table, draw)
                told += [what]
            for _ in range(draw.choice([1, 1, 2]) if kind == "labels" else 0):
                labels, what = _other_labels(labels, draw)
                told += [what]
            content, what = written(table, labels, draw)
            told += [what]
        for _ in range(draw.choice([1, 1, 2]) if kind == "bytes" else 0):
            content, what = with_other_bytes(content, draw)
            told += [what]
        is_signed = draw.random() < 0.8
        return signed(content) if is_signed else content, "; ".join([*told, f"{is_signed=}"])

    return damage


def _labels(file: pq.ParquetFile) -> dict[str, str]:
    found = {key.decode(): text.decode() for key, text in file.metadata.metadata.items()}
    return {key: text for key, text in found.items() if key.startswith("minima.")}


def _other_labels(labels: dict[str, str], draw: Draw) -> tuple[dict[str, str], str]:
    name = draw.choice([*sorted(labels), "minima.x"])
    if draw.random() < 0.2:
        return {key: text for key, text in labels.items() if key != name}, f"without {name}"
    text = draw.choice([*TEXTS, *PARTS]) if draw.random() < 0.8 else labels.get(name, "")[1:]
    return labels | {name: text}, f"{name}: {text[:60]!r}"


@pytest.fixture(scope="session")
def signed() -> Callable[[bytes], bytes]:
    """Put the right digest where a committed file has one."""

    def sign(content: bytes) -> bytes:
        key = content.rfind(b"minima.sha256")
        found = re.compile(rb"[0-9a-f]{64}").search(content, max(key, 0) + 13)
        if key < 0 or found is None:
            return content
        first, last = content[: found.start()], content[found.end() :]
        digest = hashlib.sha256(first + b"0" * 64 + last).hexdigest()
        return first + digest.encode() + last

    return sign
