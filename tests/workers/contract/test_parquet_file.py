from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.contract import parquet_file
from workers.contract.parquet_file import DamagedFile, Part, decode, encode
from workers.contract.schema import VIEWS


def _encode(rows, view="trials"):
    return encode(view, rows, committed_at="2026-01-01T00:00:00", attempt_id="a1")


def test_a_file_gives_back_what_was_written(trial_rows):
    """Values, nulls, NaN, times, and the labels of the commit survive."""
    rows = trial_rows()
    file = decode("trials", _encode(rows))
    assert repr(file.table.to_pylist()) == repr(rows.to_pylist())
    assert file.table.schema.equals(VIEWS["trials"])
    assert (file.committed_at, file.attempt_id) == ("2026-01-01T00:00:00", "a1")
    assert not file.is_compacted
    assert file.parts == ()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_an_empty_table_of_every_view_is_a_file(view):
    """No rows is a value too."""
    assert decode(view, _encode(VIEWS[view].empty_table(), view)).table.num_rows == 0


def test_a_compacted_file_knows_its_parts(trial_rows):
    """Each id keeps the time and the attempt of its own commit."""
    rows = pa.concat_tables([trial_rows("t1"), trial_rows("t2")])
    parts = (Part(("t1",), "2026-01-01", "a1", 1), Part(("t2",), "2026-01-02", "a2", 1))
    content = encode("trials", rows, committed_at="2026-02-01", attempt_id="", parts=parts)
    file = decode("trials", content)
    assert file.is_compacted
    assert file.parts == parts


def test_truncation_at_every_length_is_detected(trial_rows):
    """No prefix of a file passes for a file."""
    content = _encode(trial_rows())
    for length in range(0, len(content), 7):
        with pytest.raises(DamagedFile, match="not readable as Parquet"):
            decode("trials", content[:length])
    with pytest.raises(DamagedFile, match="not readable as Parquet"):
        decode("trials", content[:-1])


def test_a_flipped_bit_is_detected_or_changes_nothing(epoch_rows):
    """One bit at 3,000 places, in data, footer and labels: never a different value, never a crash."""
    whole = _encode(epoch_rows(losses=(1.0, 0.5, 0.25)), "epochs")
    expected = decode("epochs", whole)
    draw = random.Random(0)  # noqa: S311 - places of flips, not a secret
    num_detected = 0
    for _ in range(3000):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        try:
            file = decode("epochs", bytes(content))
        except DamagedFile:
            num_detected += 1
        else:
            assert file == expected
    assert num_detected > 1500


def test_altered_values_and_labels_do_not_match_the_digest(trial_rows):
    """A file rewritten with valid page checksums but other content is refused."""
    content = _encode(trial_rows())
    stored = pq.read_table(pa.BufferReader(content))
    labels = dict(stored.schema.metadata)
    altered = {
        "value": stored.set_column(
            stored.schema.get_field_index("train_loss"), "train_loss", pa.array([0.125])
        ).replace_schema_metadata(labels),
        "time": stored.replace_schema_metadata(labels | {b"minima.committed_at": b"2020"}),
        "attempt": stored.replace_schema_metadata(labels | {b"minima.attempt_id": b"a2"}),
        "compacted": stored.replace_schema_metadata(labels | {b"minima.compacted": b"True"}),
    }
    for table in altered.values():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        with pytest.raises(DamagedFile, match="do not match the digest"):
            decode("trials", sink.getvalue().to_pybytes())


def test_a_file_of_another_view_is_refused(trial_rows, epoch_rows):
    """A file in the wrong folder is damage, and the message names both views."""
    with pytest.raises(DamagedFile, match="it holds the view 'epochs', not 'trials'"):
        decode("trials", _encode(epoch_rows(), "epochs"))


def test_a_foreign_parquet_file_is_refused():
    """Parquet that this project did not write has no view."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), sink)
    with pytest.raises(DamagedFile, match="it holds the view None"):
        decode("trials", sink.getvalue().to_pybytes())


def test_rows_without_a_column_are_refused_when_written(trial_rows):
    """A commit has all columns of its view."""
    with pytest.raises(ValueError, match="schema"):
        _encode(trial_rows().drop_columns(["seed"]))


def test_older_files_gain_new_columns_as_null(epoch_rows, monkeypatch):
    """A file written before a column was added reads with that column null."""
    content = _encode(epoch_rows(), "epochs")
    newer = VIEWS["epochs"].append(pa.field("throughput", pa.float64()))
    monkeypatch.setitem(parquet_file.VIEWS, "epochs", newer)
    table = decode("epochs", content).table
    assert table.schema.equals(newer)
    assert table.column("throughput").to_pylist() == [None, None]
