"""Columns say their unit and meaning, in files too; files that do not are read as ever."""

from __future__ import annotations

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.contract import columns, parquet_file
from workers.contract.columns import column_facts
from workers.contract.compaction import compact
from workers.contract.quantities import GLOSSARY
from workers.contract.same_values import have_same_values
from workers.contract.schema import VIEWS

COLUMNS = [(view, field) for view, schema in VIEWS.items() for field in schema]


@pytest.fixture
def as_before():
    """Write files as they were before columns were described: no metadata of fields."""
    bare = {
        view: pa.schema([pa.field(field.name, field.type) for field in schema])
        for view, schema in VIEWS.items()
    }
    writer = pq.ParquetWriter

    def plain(*args, store_schema, **named):
        return writer(*args, store_schema=False, **named)

    def start(patch):
        patch.setattr(parquet_file, "VIEWS", bare)
        patch.setattr(parquet_file.pq, "ParquetWriter", plain)

    return start


def described(schema: pa.Schema) -> dict:
    return {field.name: field.metadata for field in schema}


@pytest.mark.parametrize(("view", "field"), COLUMNS, ids=[f"{v}-{f.name}" for v, f in COLUMNS])
def test_every_column_has_a_sentence_and_numbers_a_unit(view, field):
    """A real number has a unit, or its sentence says whose unit it is in."""
    facts = column_facts(view, field.name)
    assert facts.meaning.endswith(".")
    assert field.metadata[b"meaning"].decode() == facts.meaning
    assert field.metadata.get(b"unit", b"").decode() == (facts.unit or "")
    if pa.types.is_floating(field.type) and facts.unit is None:
        assert "unit" in facts.meaning or "estimates" in facts.meaning
    if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
        assert facts.unit is None


def test_no_description_is_left_over():
    """Each is of a column that some view has."""
    names = {field.name for _, field in COLUMNS}
    assert set(columns._OF_ALL_VIEWS) <= names
    assert set(columns._OF_ONE_VIEW) <= {(view, field.name) for view, field in COLUMNS}


@pytest.mark.parametrize("name", GLOSSARY)
def test_quantities_of_cells_take_theirs_from_the_glossary(name):
    """Unit and words of mean and error."""
    for part in ("mean", "stderr"):
        facts = column_facts("cells", f"{name}_{part}")
        assert facts.unit == GLOSSARY[name].unit
        assert facts.meaning.endswith(GLOSSARY[name].meaning)


def test_files_carry_units_and_meanings(local_store, epoch_rows):
    """As any reader of Parquet sees them in the fields' metadata."""
    path = local_store.local_path(local_store.commit("epochs", ("t1",), "a1", epoch_rows()))
    assert described(pq.read_schema(path)) == described(VIEWS["epochs"])
    assert pq.read_schema(path).field("train_loss").metadata == {
        b"unit": b"loss",
        b"meaning": b"Mean training loss per example, as seen by SGD.",
    }


def test_files_without_them_are_read_merged_and_queried(
    local_store, epoch_rows, trial_rows, as_before
):
    """Old and new files side by side: one table, one digest, one compacted file that is described."""
    store = local_store
    with pytest.MonkeyPatch.context() as patch:
        as_before(patch)
        old = store.local_path(store.commit("epochs", ("t1",), "a1", epoch_rows("t1")))
        store.commit("trials", ("t1",), "a1", trial_rows("t1"))
    assert set(described(pq.read_schema(old)).values()) == {None}
    store.commit("epochs", ("t2",), "a1", epoch_rows("t2"))
    store.commit("trials", ("t2",), "a1", trial_rows("t2"))
    folder = store.local_path("epochs")
    assert sorted(pd.read_parquet(folder)["trial_id"]) == ["t1", "t1", "t2", "t2"]
    count = duckdb.sql(f"SELECT count(train_loss) FROM read_parquet('{folder}/*.parquet')")  # noqa: S608 - our path
    assert count.fetchall() == [(4,)]
    read = store.read("epochs")
    assert described(read.schema) == described(VIEWS["epochs"])
    bare = pa.table({name: read.column(name) for name in read.schema.names})
    assert have_same_values(read, bare)
    compact(store)
    (merged,) = store.names("epochs")
    assert described(pq.read_schema(store.local_path(merged))) == described(VIEWS["epochs"])
    assert store.read("epochs").equals(read)
