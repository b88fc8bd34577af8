"""Measurements some cells at a time: every row once, whole cells, and what is made of them stays the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.aggregation.aggregate import aggregate_records
from analysis.records import pieces as module
from analysis.records.cell import CELL_COLUMNS, cells_of
from analysis.records.load import load_sweep
from analysis.records.pieces import pieces
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.store import Store

KEPT = Path(__file__).parent.parent / "aggregation" / "kept_stores"
COLUMNS = [*CELL_COLUMNS, "trial_id", "quantity", "value"]


@pytest.fixture(params=["laws", "gaps"])
def make(request):
    """Load a kept sweep of six cells, as records that nothing was computed of yet."""
    store = Store.open(str(KEPT / request.param))
    return lambda: load_sweep(store, "laws")


def interleaved(data):
    """Return the same records, those of a seed together instead of those of a cell."""
    rows = data.measurements.sort_values("seed", kind="stable")
    return replace(data, measurements=rows.reset_index(drop=True))


@pytest.mark.parametrize("arranged", [lambda data: data, interleaved])
def test_every_row_comes_once_with_its_whole_cell(make, arranged, monkeypatch):
    """In the order of the cells; the rows of a cell in their own, with the words of these trials alone."""
    monkeypatch.setattr(module, "_ROWS", 1)
    data = arranged(make())
    found = list(pieces(data, COLUMNS))
    cells = [set(cells_of(piece)) for piece in found]
    assert cells == [{cell} for cell in data.cells]
    expected = data.measurements[COLUMNS].sort_values(CELL_COLUMNS, kind="stable")
    texts = {"trial_id": str}
    pd.testing.assert_frame_equal(
        pd.concat([piece.astype(texts) for piece in found]), expected.astype(texts)
    )
    for piece in found:
        assert set(piece["trial_id"].cat.categories) == set(piece["trial_id"])


def test_few_rows_are_one_piece(make):
    """And without any there is one of no rows, so that what is made of them has its columns."""
    data = make()
    (piece,) = pieces(data, COLUMNS)
    assert len(piece) == len(data.measurements) > 0
    nothing = replace(data, measurements=data.measurements.iloc[:0])
    (piece,) = pieces(nothing, COLUMNS)
    assert (len(piece), [*piece.columns]) == (0, COLUMNS)


@pytest.mark.parametrize("rows", [1, 200])
def test_derived_views_are_the_same_however_rows_are_cut(make, rows, monkeypatch):
    """To the last bit, of records in either order."""
    whole = aggregate_records(make())
    monkeypatch.setattr(module, "_ROWS", rows)
    for found in (aggregate_records(make()), aggregate_records(interleaved(make()))):
        for view in DERIVED_VIEWS:
            assert getattr(found, view).equals(getattr(whole, view)), view
