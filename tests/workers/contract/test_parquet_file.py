from __future__ import annotations

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
    for length in range(len(content)):
        with pytest.raises(DamagedFile, match=r"it is cut off|do not match the digest"):
            decode("trials", content[:length])
    with pytest.raises(DamagedFile, match="do not match the digest"):
        decode("trials", content + b"\0")


def test_every_flipped_bit_is_detected(epoch_rows):
    """One bit anywhere, in data, footer, labels or the digest itself."""
    whole = _encode(epoch_rows(losses=(1.0, 0.5, 0.25)), "epochs")
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << (place % 8)
        with pytest.raises(DamagedFile):
            decode("epochs", bytes(content))


def test_text_that_looks_like_a_digest_does_not_mislead(trial_rows):
    """Values may hold the digest's own key and 64 hexadecimal digits."""
    for text in ("minima.sha256" + "0" * 64, "minima.sha256 : " + "a" * 64, "0" * 64):
        rows = trial_rows(host=text, weights_sha256=text, spec=text)
        assert decode("trials", _encode(rows)).table.column("host").to_pylist() == [text]
    part = Part(("minima.sha256." + "a" * 64,), "2026-01-01", "a1", 1)
    content = encode("trials", trial_rows(), committed_at="2026-01-01", attempt_id="", parts=[part])
    assert decode("trials", content).parts == (part,)


PART = Part(("t1",), "2026-01-01", "a1", 1)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([PART, PART], "it holds an id twice"),
        ([PART._replace(num_rows=-1)], "fewer than no rows"),
        ([PART._replace(num_rows=10**400)], "more than a file can have"),
        ([PART._replace(committed_at="never")], "which is no time"),
    ],
)
def test_parts_that_no_writer_of_ours_tells_are_refused(trial_rows, parts, told):
    """However right the digest: a second copy of an id would count before the first."""
    with pytest.raises(DamagedFile, match=told) as caught:
        encode("trials", trial_rows(), committed_at="2026-01-01", attempt_id="", parts=parts)
    assert len(str(caught.value)) < 200


def test_altered_values_and_labels_do_not_match_the_digest(trial_rows):
    """A whole Parquet file with other content and the old digest is refused."""
    content = _encode(trial_rows())
    stored = pq.read_table(pa.BufferReader(content))
    kept = pq.read_metadata(pa.BufferReader(content)).metadata
    labels = {key: text for key, text in kept.items() if key.startswith(b"minima.")}
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
    """Parquet that this project did not write has no digest."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), sink)
    with pytest.raises(DamagedFile, match="it is cut off, or not a committed file"):
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
