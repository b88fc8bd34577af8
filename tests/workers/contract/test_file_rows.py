"""The rows of one file, decoded piece by piece."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.contract import file_rows, parquet_file
from workers.contract.file_rows import FileRows
from workers.contract.parquet_file import encode

_NUM_PIECES = 40


@pytest.fixture
def opened(monkeypatch):
    """Count how often a file is opened; files are in pieces of two rows."""
    monkeypatch.setattr(file_rows, "_FEW_ROWS", 0)
    monkeypatch.setattr(parquet_file, "_ROWS_DECODED_AT_ONCE", 2)
    times = []
    plain = pq.ParquetFile

    def counted(*arguments, **named):
        times.append(1)
        return plain(*arguments, **named)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    return times


@pytest.fixture
def content(opened, trial_rows):
    rows = pa.concat_tables([trial_rows(f"t{number:02}") for number in range(2 * _NUM_PIECES)])
    return encode("trials", rows, committed_at="2026-01-01T00:00:00", attempt_id="a1")


def test_a_file_is_opened_as_often_however_many_pieces_it_has(opened, content):
    """Opening takes as long as a file has pieces: once a piece would take the square of that."""
    opened.clear()
    rows = FileRows("trials", content)
    assert (len(rows.lengths), rows.num_rows) == (_NUM_PIECES, 2 * _NUM_PIECES)
    found = []
    for number in range(_NUM_PIECES):
        found += rows.piece(number, ["trial_id"]).column(0).to_pylist()
        for words, codes in rows.codes(number, "host"):
            assert len(codes) == 2
            assert words
    assert found == [f"t{number:02}" for number in range(2 * _NUM_PIECES)]
    assert rows.select(["trial_id"]).column(0).to_pylist() == found
    assert len(opened) == 2


def test_pieces_are_decoded_by_several_threads(content):
    """Each has its own rows."""
    rows = FileRows("trials", content)
    with ThreadPoolExecutor(8) as threads:
        pieces = threads.map(lambda n: rows.piece(n, ["trial_id"]), [*range(_NUM_PIECES)] * 20)
    found = [piece.column(0).to_pylist() for piece in pieces]
    assert found == [[f"t{2 * n:02}", f"t{2 * n + 1:02}"] for n in range(_NUM_PIECES)] * 20
