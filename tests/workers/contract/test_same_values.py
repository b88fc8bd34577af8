from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.contract.same_values import have_same_values

_COLUMNS = {
    "text": st.none() | st.text(max_size=3),
    "int": st.none() | st.integers(-(2**63), 2**63 - 1),
    "real": st.none() | st.floats(allow_nan=False) | st.just(float("nan")),
    "flag": st.none() | st.booleans(),
    "many": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=2),
}
_SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "int": pa.int64(),
        "real": pa.float64(),
        "flag": pa.bool_(),
        "many": pa.list_(pa.string()),
    }
)
_ROWS = st.lists(st.fixed_dictionaries(_COLUMNS), max_size=5)

_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The first draw loads Unicode's tables, which takes seconds on a busy machine."""


@_UNHURRIED
@given(_ROWS)
def test_layout_does_not_count(rows):
    """Chunks and offsets do not count: a table in pieces, cut out of a larger one, is the same."""
    whole = pa.Table.from_pylist(rows, schema=_SCHEMA)
    pieces = pa.concat_tables([whole.slice(0, 2), whole.slice(2)])
    middle = pa.concat_tables([whole, whole, whole]).combine_chunks().slice(len(rows), len(rows))
    assert have_same_values(whole, pieces)
    assert have_same_values(whole, middle)


@_UNHURRIED
@given(_ROWS, _ROWS)
def test_different_tables_are_told_apart(first, second):
    """By what Python writes of them, in which a NaN is equal to itself."""
    tables = [pa.Table.from_pylist(rows, schema=_SCHEMA) for rows in (first, second)]
    same = repr(tables[0].to_pylist()) == repr(tables[1].to_pylist())
    assert have_same_values(*tables) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.0], [-0.0]),
        ([None], [float("nan")]),
        ([1.0], [float(np.nextafter(1.0, 2.0))]),
        (["ab", "c"], ["a", "bc"]),
        ([""], [None]),
        ([["a"], []], [[], ["a"]]),
        ([[]], [None]),
        ([1], [True]),
        ([1], [1.0]),
        (["1"], [1]),
    ],
)
def test_small_differences_count(one, other):
    """The sign of zero, null against NaN or empty, one last bit, a type: all are differences."""
    assert not have_same_values(pa.table({"x": one}), pa.table({"x": other}))
    assert have_same_values(pa.table({"x": one}), pa.table({"x": one}))


def test_the_names_and_their_order_count():
    """As do further rows."""
    table = pa.table({"x": [1], "y": [2]})
    others = [table.rename_columns(["x", "z"]), table.select(["y", "x"]), table.slice(0, 0)]
    assert not any(have_same_values(table, other) for other in others)


def test_bytes_behind_a_null_do_not_count():
    """Two arrays that differ only where they are null are the same values."""
    mask = np.array([False, True])
    arrays = [pa.array(np.array(values), mask=mask) for values in ([1, 2], [1, 3])]
    assert have_same_values(*(pa.table({"x": array}) for array in arrays))
