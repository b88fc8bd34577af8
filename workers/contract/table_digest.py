"""The digest of a table's values, independent of how Arrow or Parquet happen to lay them out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import pyarrow as pa


def values_sha256(table: pa.Table, *, head: str = "") -> str:
    """Hash a table: `head`, then of every column its name, its kind, which rows are null, its values.

    Chunks, offsets, dictionaries and the bytes behind a null do not count, so the digest is the
    same for every version of the libraries and for a slice as for its copy. Floats count by their
    bits: -0.0 differs from 0.0, and a NaN from a null.
    """
    parts = [head.encode()]
    for name, column in zip(table.schema.names, table.columns, strict=True):
        parts += [name.encode(), *_array_parts(column)]
    running = hashlib.sha256()
    for part in parts:
        running.update(len(part).to_bytes(8, "little"))
        running.update(part)
    return running.hexdigest()


def _array_parts(array: pa.ChunkedArray[Any]) -> list[bytes]:
    kind = array.type
    if pa.types.is_list(kind):
        items = array.to_pylist()
        flat = pa.chunked_array([[item for part in items for item in part or ()]], kind.value_type)
        return [b"list", _lengths(items), *_array_parts(flat)]
    if pa.types.is_string(kind):
        texts = [None if text is None else text.encode() for text in array.to_pylist()]
        return [b"text", _lengths(texts), b"".join(text or b"" for text in texts)]
    nulls = array.is_null().to_numpy().tobytes()
    if pa.types.is_floating(kind):
        return [b"real", nulls, array.drop_null().to_numpy().astype("<f8").tobytes()]
    label = b"time" if pa.types.is_timestamp(kind) else b"bool" if kind == pa.bool_() else b"int"
    whole = array.cast(pa.int64()).drop_null()
    return [label, nulls, whole.to_numpy().astype("<i8").tobytes()]


def _lengths(items: Sequence[Sized | None]) -> bytes:
    return np.array([-1 if item is None else len(item) for item in items], "<i8").tobytes()
