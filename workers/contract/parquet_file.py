"""One committed Parquet file: a table with the digest of its values, checked whenever it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from workers.contract.schema import SCHEMA_VERSION, VIEWS
from workers.contract.table_digest import values_sha256

_PREFIX = "minima."


class DamagedFile(Exception):
    """The bytes are not a whole file of that view: truncated, altered, or another view's."""


@dataclass(frozen=True)
class Part:
    """One commit inside a compacted file: its id, when and by whom it was made, its row count."""

    key: tuple[str, ...]
    committed_at: str
    attempt_id: str
    num_rows: int


@dataclass(frozen=True)
class CommittedFile:
    """A decoded file.

    Attributes:
        table: Its rows, in the view's newest schema.
        committed_at: ISO 8601 time of the commit, UTC; readers keep the first per id.
        attempt_id: Who wrote it.
        is_compacted: It holds many ids, merged from files that were the first of theirs.
        parts: Of a compacted file the commits in it, in the order of their rows.
    """

    table: pa.Table
    committed_at: str
    attempt_id: str
    is_compacted: bool
    parts: tuple[Part, ...] = ()


def encode(
    view: str,
    table: pa.Table,
    *,
    committed_at: str,
    attempt_id: str,
    parts: Sequence[Part] | None = None,
) -> bytes:
    """Serialise rows of a view, with their digest, and read them back before giving them out.

    `parts` makes it a compacted file: the rows of each part stand together, in the order given.
    """
    rows = table.cast(VIEWS[view])
    metadata = {
        "view": view,
        "schema_version": str(SCHEMA_VERSION),
        "committed_at": committed_at,
        "attempt_id": attempt_id,
        "compacted": str(parts is not None),
        "parts": json.dumps([astuple(part) for part in parts or ()], separators=(",", ":")),
    }
    metadata["sha256"] = _digest(rows, metadata)
    tagged = rows.replace_schema_metadata({_PREFIX + key: text for key, text in metadata.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(tagged, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    decode(view, content)
    return content


def decode(view: str, content: bytes) -> CommittedFile:
    """Read a committed file and check its digest, which covers its values and its labels.

    Raises:
        DamagedFile: Anything about it is not as written.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        stored = file.read(use_threads=False)
        metadata = _labels(stored)
        is_sound = metadata.get("sha256") == _digest(stored, metadata)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DamagedFile(f"not readable as Parquet: {error}") from error
    if metadata.get("view") != view:
        raise DamagedFile(f"it holds the view {metadata.get('view')!r}, not {view!r}")
    if not is_sound:
        raise DamagedFile("its values do not match the digest they were committed with")
    return CommittedFile(
        table=in_newest_schema(view, stored),
        committed_at=metadata["committed_at"],
        attempt_id=metadata["attempt_id"],
        is_compacted=metadata["compacted"] == "True",
        parts=_parts(metadata["parts"]),
    )


def in_newest_schema(view: str, table: pa.Table) -> pa.Table:
    """Give a table all columns of the view, null where an older version did not have them."""
    schema = VIEWS[view]
    if table.schema.equals(schema):
        return table.replace_schema_metadata(None)
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _labels(stored: pa.Table) -> dict[str, str]:
    return {
        key.decode().removeprefix(_PREFIX): text.decode()
        for key, text in (stored.schema.metadata or {}).items()
        if key.startswith(_PREFIX.encode())
    }


def _digest(table: pa.Table, metadata: dict[str, str]) -> str:
    labels = {key: text for key, text in metadata.items() if key != "sha256"}
    return values_sha256(table, head=json.dumps(labels, sort_keys=True))


def _parts(text: str) -> tuple[Part, ...]:
    return tuple(
        Part(tuple(key), committed_at, attempt_id, num_rows)
        for key, committed_at, attempt_id, num_rows in json.loads(text)
    )
