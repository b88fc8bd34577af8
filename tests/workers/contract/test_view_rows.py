"""The rows of a view, as they are asked for: one piece of a large file after another."""

from __future__ import annotations

import pyarrow as pa
import pytest

from workers.contract import file_rows, parquet_file, view_rows
from workers.contract.compaction import compact
from workers.contract.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch, trial_rows) -> Store:
    """Twelve trials in one merged file of six pieces, and one that was committed since."""
    monkeypatch.setattr(parquet_file, "_ROWS_DECODED_AT_ONCE", 2)
    found = Store.open(str(tmp_path))
    for number in range(12):
        found.commit("trials", (f"t{number:02}",), "a1", trial_rows(f"t{number:02}"))
    compact(found)
    found.commit("trials", ("t99",), "a1", trial_rows("t99"))
    monkeypatch.setattr(file_rows, "_FEW_ROWS", 6)
    return Store.open(str(tmp_path))


def test_a_loose_file_beside_a_merged_one_does_not_make_a_scan_decode_all_at_once(
    store, monkeypatch
):
    """The merged file's rows come first, piece by piece, then those of the small one."""
    sizes = []
    whole = view_rows._read

    def read(piece, schema):
        sizes.append(piece.num_rows)
        return whole(piece, schema)

    monkeypatch.setattr(view_rows, "_read", read)
    batches = store.rows("trials").batches(["trial_id"])
    first = next(batches)
    assert (first.num_rows, sizes) == (2, [2])
    found = pa.Table.from_batches([first, *batches]).column(0).to_pylist()
    assert found == [*(f"t{number:02}" for number in range(12)), "t99"]
    assert sizes == [2] * 6 + [1]
