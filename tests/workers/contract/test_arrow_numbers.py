"""Numbers between Arrow and NumPy, against Arrow's own conversions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from workers.contract.arrow_numbers import as_arrow, as_numpy

COLUMNS = {
    "whole": pa.chunked_array([pa.array([1, -2], pa.int32()), pa.array([3], pa.int32())]),
    "slice": pa.chunked_array([pa.array([0.5, 1.5, np.inf]).slice(1)]),
    "nulls": pa.chunked_array([pa.array([1.0, None]), pa.array([None], pa.float64())]),
    "single": pa.chunked_array([pa.array([1.0, None], pa.float32())]),
    "no rows": pa.chunked_array([pa.array([], pa.int64())]),
    "no chunks": pa.chunked_array([], pa.int64()),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_as_arrow_itself_converts(name):
    """Values and type, null as NaN; of several chunks, of a slice, of none."""
    column = COLUMNS[name]
    found, known = as_numpy(column), column.to_numpy()
    assert found.dtype == known.dtype
    np.testing.assert_array_equal(found, known)


def test_whole_numbers_have_no_null():
    """They are not made floating-point numbers on the quiet."""
    with pytest.raises(ValueError, match="int64 has no number for null"):
        as_numpy(pa.chunked_array([pa.array([1, None])]))


@pytest.mark.parametrize("numbers", [np.arange(6)[::2], np.array([0.5, np.nan]), np.zeros(0)])
def test_there_and_back(numbers):
    """Also where they do not lie one behind the other."""
    made = as_arrow(numbers)
    assert made.null_count == 0
    np.testing.assert_array_equal(as_numpy(pa.chunked_array([made])), numbers)
