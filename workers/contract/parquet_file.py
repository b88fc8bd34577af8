"""One committed Parquet file: a table, labels, and the digest of all its bytes, checked when read.

The digest stands in the file's own metadata; it is taken with its own 64 places filled by zeros.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from workers.contract.file_rows import FileRows, UnsoundRows
from workers.contract.schema import SCHEMA_VERSION, VIEWS
from workers.contract.soundness import commit_fault, key_fault, label_fault

_PREFIX = "minima."

_ROWS_DECODED_AT_ONCE = 2**17
"""A row group: what a query holds at a time of a large file."""

_NO_DIGEST = b"0" * 64

_MOST_ROWS = 2**63 - 1
"""Of a Parquet file, whose numbers of rows are signed 64-bit integers."""

_DIGEST = re.compile(rb"minima\.sha256[^0-9a-f]{1,8}([0-9a-f]{64})", re.DOTALL)
"""The key of the file's metadata, the few bytes Parquet puts between key and value, the digest."""


class DamagedFile(Exception):
    """The bytes are not a whole and sound file of that view: truncated, altered, another view's, or none of ours."""


class Part(NamedTuple):
    """One commit inside a compacted file: its id, when and by whom it was made, its row count."""

    key: tuple[str, ...]
    committed_at: str
    attempt_id: str
    num_rows: int


@dataclass(frozen=True)
class CommittedFile:
    """A file that was judged.

    Attributes:
        rows: In the view's newest schema.
        committed_at: ISO 8601 time of the commit, UTC; readers keep the first per id.
        attempt_id: Who wrote it.
        is_compacted: It holds many ids, merged from files that were the first of theirs.
        parts: Of a compacted file the commits in it, in the order of their rows.
    """

    rows: FileRows
    committed_at: str
    attempt_id: str
    is_compacted: bool
    parts: tuple[Part, ...] = ()

    @property
    def table(self) -> pa.Table:
        """All of its rows."""
        return self.rows.table


def encode(
    view: str,
    table: pa.Table,
    *,
    committed_at: str,
    attempt_id: str,
    parts: Sequence[Part] | None = None,
) -> bytes:
    """Serialise rows of a view, with the digest, and read them back before giving them out.

    `parts` makes it a compacted file: the rows of each part stand together, in the order given.
    """
    rows = table.cast(VIEWS[view])
    metadata = {
        "view": view,
        "schema_version": str(SCHEMA_VERSION),
        "committed_at": committed_at,
        "attempt_id": attempt_id,
        "compacted": str(parts is not None),
        "parts": json.dumps(list(parts or ()), separators=(",", ":")),
        "sha256": _NO_DIGEST.decode(),
    }
    content = _with_digest(_as_parquet(rows, metadata, is_large=parts is not None))
    decode(view, content)
    return content


def decode(view: str, content: bytes) -> CommittedFile:
    """Check the digest of a committed file, read it, and judge whether it can be believed.

    Raises:
        DamagedFile: Anything about it is not as written, or is what no writer of ours would write.
    """
    place = _digest_place(content)
    if place is None:
        raise DamagedFile("it is cut off, or not a committed file")
    if content[place] != _bytes_sha256(content, place):
        raise DamagedFile("its bytes do not match the digest they were committed with")
    try:
        labels = _labels(pq.read_metadata(pa.BufferReader(content)))
        fault = label_fault(labels)
        if fault is None and labels["view"] != view:
            fault = f"it holds the view {labels['view']!r:.60}, not {view!r}"
        if fault is not None:
            raise DamagedFile(fault)
        rows = FileRows(view, content)
        parts = _parts(labels["parts"])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFile(f"not readable as Parquet: {error}") from error
    except UnsoundRows as error:
        raise DamagedFile(str(error)) from error
    return CommittedFile(
        rows=rows,
        committed_at=labels["committed_at"],
        attempt_id=labels["attempt_id"],
        is_compacted=labels["compacted"] == "True",
        parts=parts,
    )


def names_key(content: bytes, first: str) -> bool:
    """Whether the labels of a merged file may name a commit whose id begins so; they stand there as they are."""
    return json.dumps(first).encode() in content


def _as_parquet(rows: pa.Table, metadata: dict[str, str], *, is_large: bool) -> bytes:
    """Write Parquet; zstd would make the many small files three times as slow to read.

    Units and meanings stand in the fields' metadata, of which Arrow's own schema is the carrier.
    """
    sink = pa.BufferOutputStream()
    compression: Literal["zstd", "snappy"] = "zstd" if is_large else "snappy"
    with pq.ParquetWriter(sink, rows.schema, compression=compression, store_schema=True) as writer:
        writer.write_table(rows, row_group_size=_ROWS_DECODED_AT_ONCE)
        writer.add_key_value_metadata({_PREFIX + key: text for key, text in metadata.items()})
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _labels(metadata: pq.FileMetaData) -> dict[str, str]:
    return {
        key.decode().removeprefix(_PREFIX): text.decode()
        for key, text in (metadata.metadata or {}).items()
        if key.startswith(_PREFIX.encode())
    }


def _digest_place(content: bytes) -> slice | None:
    found = _DIGEST.search(content, max(0, content.rfind(b"minima.sha256")))
    return None if found is None else slice(*found.span(1))


def _with_digest(content: bytes) -> bytes:
    place = _digest_place(content)
    assert place is not None, "the metadata just written holds the key"  # noqa: S101 - our own bug
    return content[: place.start] + _bytes_sha256(content, place) + content[place.stop :]


def _bytes_sha256(content: bytes, place: slice) -> bytes:
    running = hashlib.sha256(content[: place.start])
    running.update(_NO_DIGEST)
    running.update(content[place.stop :])
    return running.hexdigest().encode()


def _parts(text: str) -> tuple[Part, ...]:
    try:
        parts = tuple(
            Part(tuple(key), committed_at, attempt_id, num_rows)
            for key, committed_at, attempt_id, num_rows in json.loads(text)
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise DamagedFile(f"its parts cannot be read: {error}") from error
    ids = [one for part in parts for one in part.key]
    commits = [one for part in parts for one in (part.committed_at, part.attempt_id)]
    if not set(map(type, ids + commits)) <= {str} or not {type(p.num_rows) for p in parts} <= {int}:
        raise DamagedFile("its parts are not told by texts and numbers of rows")
    faults = (commit_fault(part.committed_at, part.attempt_id) for part in parts)
    fault = key_fault(ids) or next(filter(None, faults), None)
    if fault is None and not all(0 <= part.num_rows <= _MOST_ROWS for part in parts):
        fault = "it has fewer than no rows, or more than a file can have"
    if fault is not None:
        raise DamagedFile(f"a part of it is not sound: {fault}")
    if len({part.key for part in parts}) < len(parts):
        raise DamagedFile("it holds an id twice")
    return parts
