"""The README's notebook is run, and its way around the views holds."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import duckdb
import pandas as pd
import polars
import pytest

from analysis.aggregation.aggregate import aggregate
from workers.contract.commits import DERIVED_VIEWS, KEY_COLUMNS
from workers.contract.compaction import compact
from workers.contract.schema import VIEWS
from workers.contract.store import Store

_EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.py"


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "minima-store"))


@pytest.fixture
def sweep(store, forked_sweep):
    """A finished and aggregated sweep, with rows in every view but `sweep_trials`."""
    made = forked_sweep(name="quickstart", pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    made.fail(made.trials()[0])
    aggregate(store, "quickstart")
    return made


def repeat(store: Store, view: str, attempt_id: str) -> None:
    """Commit every id once more, as a second driver may."""
    for key, commit in store.winners(view).items():
        store.commit(view, key, attempt_id, commit.table)


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort by all columns; files have no order of their own."""
    shown = frame.assign(**{name: frame[name].astype(str) for name in frame})
    return frame.loc[shown.sort_values(list(frame)).index].reset_index(drop=True)


def without_repeats(view: str, folder: Path) -> pd.DataFrame:
    """Read a folder by the example's own statement, with the ids of the view."""
    found = re.search(r'"(SELECT \* EXCLUDE.*)"\n +"(.*)"\n', _EXAMPLE.read_text())
    statement = "".join(found.groups()).replace("minima-store/trials", str(folder))
    ids = ", ".join(KEY_COLUMNS[view])
    return duckdb.sql(statement.replace("BY trial_id)", f"BY {ids})")).to_arrow_table().to_pandas()


def test_the_notebook_runs(sweep, tmp_path, monkeypatch):
    """As written, beside a store of that name."""
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(_EXAMPLE))
    assert found["cells"]["num_seeds"].tolist() == [2]
    assert found["traces"]["batch_size"].tolist() == [50]
    assert "Table 1 · quickstart" in found["table"]._repr_html_()
    assert len(found["figure"].axes) == 3
    assert found["rows"].to_arrow_table().num_rows == 2


@pytest.mark.parametrize("view", sorted({*VIEWS} - {"sweep_trials"}))
def test_a_folder_read_directly_has_the_rows_of_its_view(sweep, store, view):
    """By pandas, polars and DuckDB, types and values."""
    folder = store.local_path(view)
    wanted = in_order(store.read(view).to_pandas())
    assert len(wanted)
    pd.testing.assert_frame_equal(in_order(pd.read_parquet(folder)), wanted)
    relation = duckdb.read_parquet(f"{folder}/*.parquet")
    assert relation.columns == VIEWS[view].names
    ours = duckdb.from_arrow(store.read(view))
    found, wanted_rows = (each.to_arrow_table().to_pylist() for each in (relation, ours))
    assert sorted(map(repr, found)) == sorted(map(repr, wanted_rows))
    frame = polars.read_parquet(f"{folder}/*.parquet")
    assert frame.columns == VIEWS[view].names
    theirs = polars.from_arrow(store.read(view))
    assert frame.schema == theirs.schema
    assert sorted(map(repr, frame.rows())) == sorted(map(repr, theirs.rows()))


@pytest.mark.parametrize("is_compacted", [False, True])
@pytest.mark.parametrize("view", ["trials", "epochs", "measurements", "spectra"])
def test_one_line_takes_repeated_attempts_out(sweep, store, view, is_compacted):
    """Before compaction and after it, when a repeated attempt comes late."""
    if is_compacted:
        compact(store)
    wanted = in_order(store.read(view).to_pandas())
    repeat(store, view, "zz-later")
    folder = store.local_path(view)
    assert len(pd.read_parquet(folder)) == 2 * len(wanted)
    found = in_order(without_repeats(view, folder))
    assert len(found) == len(wanted)
    for name in KEY_COLUMNS[view]:
        assert sorted(found[name]) == sorted(wanted[name])
    assert in_order(store.read(view).to_pandas()).equals(wanted)


def test_derived_views_have_no_attempts(sweep, store):
    """One file a sweep, in place of the former."""
    aggregate(store, "quickstart")
    for view in DERIVED_VIEWS:
        assert store.names(view) == [f"{view}/quickstart.parquet"]
