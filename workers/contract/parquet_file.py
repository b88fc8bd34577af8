"""One committed Parquet file: a table with the digest of its values, checked whenever it is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from workers.contract.schema import SCHEMA_VERSION, VIEWS

_PREFIX = "minima."


class DamagedFile(Exception):
    """The bytes are not a whole file of that view: truncated, altered, or another view's."""


@dataclass(frozen=True)
class CommittedFile:
    """A decoded file.

    Attributes:
        table: Its rows, in the view's newest schema.
        committed_at: ISO 8601 time of the commit, UTC; readers keep the first per id.
        attempt_id: Who wrote it.
        is_compacted: It holds many ids, merged from files that were the first of theirs.
    """

    table: pa.Table
    committed_at: str
    attempt_id: str
    is_compacted: bool


def encode(
    view: str, table: pa.Table, *, committed_at: str, attempt_id: str, is_compacted: bool = False
) -> bytes:
    """Serialise rows of a view, with their digest, and read them back before giving them out."""
    rows = table.cast(VIEWS[view])
    metadata = {
        "view": view,
        "schema_version": str(SCHEMA_VERSION),
        "committed_at": committed_at,
        "attempt_id": attempt_id,
        "compacted": str(is_compacted),
        "sha256": _values_sha256(rows),
    }
    tagged = rows.replace_schema_metadata({_PREFIX + key: text for key, text in metadata.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(tagged, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    decode(view, content)
    return content


def decode(view: str, content: bytes) -> CommittedFile:
    """Read a committed file and check its digest.

    Raises:
        DamagedFile: Anything about it is not as written.
    """
    try:
        stored = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFile(f"not readable as Parquet: {error}") from error
    metadata = {
        key.decode(errors="replace").removeprefix(_PREFIX): text.decode(errors="replace")
        for key, text in (stored.schema.metadata or {}).items()
    }
    if metadata.get("view") != view:
        raise DamagedFile(f"it holds the view {metadata.get('view')!r}, not {view!r}")
    if metadata.get("sha256") != _values_sha256(stored):
        raise DamagedFile("its values do not match the digest they were committed with")
    return CommittedFile(
        table=in_newest_schema(view, stored),
        committed_at=metadata.get("committed_at", ""),
        attempt_id=metadata.get("attempt_id", ""),
        is_compacted=metadata.get("compacted") == "True",
    )


def in_newest_schema(view: str, table: pa.Table) -> pa.Table:
    """Give a table all columns of the view, null where an older version did not have them."""
    schema = VIEWS[view]
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _values_sha256(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    plain = table.replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, plain.schema) as writer:
        writer.write_table(plain)
    return hashlib.sha256(sink.getvalue()).hexdigest()
