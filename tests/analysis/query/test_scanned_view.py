from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analysis.query.sql import query
from workers.contract.parquet_file import Part, encode
from workers.contract.schema import VIEWS

NUM_PARTS, ROWS_OF_PART = 300, 100


def _measurements(trial_ids, num_rows, layer=None):
    count = len(trial_ids) * num_rows
    given = {
        "trial_id": pa.array(np.repeat(trial_ids, num_rows)),
        "statistic": pa.array(["traces"] * count),
        "statistic_id": pa.array(["s"] * count),
        "quantity": pa.array(["mean_loss", "accuracy"] * (count // 2)),
        "value": pa.array(np.arange(count, dtype=float)),
        "num_samples": pa.array([1] * count),
        "spare": pa.array([layer] * count, pa.string()),
        **{
            name: pa.array(["data"] * count) for name in ("method", "bn_mode", "split", "objective")
        },
    }
    given["layer"] = given.pop("spare")
    schema = VIEWS["measurements"]
    columns = [given.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.table(columns, schema=schema)


@pytest.fixture
def merged(store):
    """Make a store of one large merged file whose ids were committed from the last to the first, and a loose one."""
    ids = [f"t{number:04}" for number in range(NUM_PARTS)]
    parts = [
        Part((one, "s"), datetime(2026, 1, 1, 0, 0, 0, NUM_PARTS - place, UTC).isoformat(), "a", ROWS_OF_PART)
        for place, one in enumerate(ids)
    ]  # fmt: skip
    rows = _measurements(ids, ROWS_OF_PART)
    content = encode("measurements", rows, committed_at=parts[0].committed_at, attempt_id="", parts=parts)  # fmt: skip
    store.write_bytes(store.compacted_path("measurements", "x"), content)
    store.commit("measurements", ("t0000", "s"), "b", _measurements(["t0000"], 2, "lost"))
    store.commit("measurements", ("z", "s"), "b", _measurements(["z"], 2, "loose"))
    expected = [row for one in reversed(ids) for row in rows.filter(pc.equal(rows["trial_id"], one)).to_pylist()]  # fmt: skip
    return store, expected + _measurements(["z"], 2, "loose").to_pylist()


def test_rows_are_those_of_the_first_commits_in_their_order(merged):
    """A large merged file, one that lost and one beside it: values, nulls and order, read and asked for."""
    store, expected = merged
    assert store.read("measurements").to_pylist() == expected
    assert store.read("measurements").schema.equals(VIEWS["measurements"], check_metadata=True)
    assert query(store, "from measurements").to_pylist() == expected


def test_rows_and_columns_are_chosen_alike(merged):
    """Filters that DuckDB leaves to Arrow: equality, order, lists, nulls, of texts and numbers."""
    store, expected = merged
    found = query(store, "select value, layer from measurements where trial_id in ('t0007', 'z') and value > 0.5 and quantity = 'accuracy' and (layer is null or layer = 'loose')")  # fmt: skip
    assert found.to_pylist() == [
        {"value": row["value"], "layer": row["layer"]}
        for row in expected
        if row["trial_id"] in {"t0007", "z"} and row["value"] > 0.5 and row["quantity"] == "accuracy"
    ]  # fmt: skip
    assert found.num_rows == ROWS_OF_PART // 2 + 1


def test_columns_that_are_not_asked_for_are_not_decoded(merged):
    """One column of ten bytes a row takes a small part of the view's memory, whatever else the view holds."""
    store, _ = merged
    rows = store.rows("measurements")
    before = pa.total_allocated_bytes()
    held = list(rows.batches(["value"]))
    one = pa.total_allocated_bytes() - before
    whole = store.read("measurements").nbytes
    assert sum(batch.num_rows for batch in held) == NUM_PARTS * ROWS_OF_PART + 2
    assert one < whole / 10  # 8 of about 130 bytes a row; twice as much for the buffers' padding
