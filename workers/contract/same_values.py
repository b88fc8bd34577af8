"""Whether two tables hold the same values, however Arrow or Parquet happen to lay them out."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def have_same_values(one: pa.Table, other: pa.Table) -> bool:
    """Compare names, types, which rows are null, and values.

    Chunks, offsets, dictionaries and the bytes behind a null do not count. Floats count by their
    bits: -0.0 differs from 0.0, and a NaN from a null, but not from itself.
    """
    if one.schema.names != other.schema.names or one.num_rows != other.num_rows:
        return False
    return all(map(_is_equal, one.columns, other.columns))


def _is_equal(one: pa.ChunkedArray[Any], other: pa.ChunkedArray[Any]) -> bool:
    if one.type != other.type or not pa.types.is_floating(one.type):
        return one.type == other.type and one.equals(other)
    return one.is_null().equals(other.is_null()) and _bits(one) == _bits(other)


def _bits(array: pa.ChunkedArray[Any]) -> bytes:
    """Return the bits of floats, as to Arrow no NaN is equal to itself."""
    bits: bytes = array.drop_null().to_numpy().tobytes()
    return bits
