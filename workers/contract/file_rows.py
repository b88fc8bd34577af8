"""The rows of one file of a view: few are kept as a table, many are decoded when and as far as they are asked for.

What is decoded again and again has its texts as dictionaries, as Parquet has them: a column of a few
words costs a tenth of its time and memory then.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workers.contract.schema import VIEWS
from workers.contract.soundness import schema_fault, values_fault

_FEW_ROWS = 20_000
"""Of a file that is decoded once, whole."""


class UnsoundRows(Exception):
    """The rows are not what a sound file of the view has."""


@final
class FileRows:
    """Rows of a file that was judged, in the view's newest schema; null where an older one had no column.

    Attributes:
        num_rows: How many they are.
        lengths: How many rows each piece has, which is a row group of the file.
        has_more_columns: A newer version wrote columns that this one does not know, and does not read.
    """

    def __init__(self, view: str, content: bytes) -> None:
        """Judge the rows of a Parquet file, piece by piece where they are many.

        Raises:
            UnsoundRows: They cannot be believed; the same is told of few as of many.
            pa.ArrowException, OSError: They cannot be decoded.
        """
        self._view, self._content = view, content
        file = self._opened()
        self._metadata: pq.FileMetaData = file.metadata
        stored: pa.Schema = file.schema_arrow
        self._names = frozenset(stored.names)
        self.has_more_columns = not self._names <= set(VIEWS[view].names)
        self._texts = [field.name for field in stored if pa.types.is_string(field.type)]
        self._reading = threading.Lock()
        groups = range(self._metadata.num_row_groups)
        self.lengths = tuple(self._metadata.row_group(group).num_rows for group in groups)
        self._kept = None if self._is_sound_in_pieces(stored) else self._whole(file)
        if self._kept is not None:
            self.lengths = (self._kept.num_rows,)
        self.num_rows = sum(self.lengths)

    @property
    def is_kept(self) -> bool:
        """Whether they are in memory, in one piece."""
        return self._kept is not None

    @functools.cached_property
    def table(self) -> pa.Table:
        """All of them."""
        if self._kept is not None:
            return self._kept
        return in_newest_schema(self._view, self._opened().read(use_threads=False))

    def select(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of all rows."""
        if self._kept is not None:
            return self._kept.select(names)
        pieces = [self.piece(number, names) for number in range(len(self.lengths))]
        return pa.concat_tables(pieces).cast(schema_of(self._view, names))

    def piece(self, number: int, names: Sequence[str]) -> pa.Table:
        """Return some columns of one piece, texts as dictionaries."""
        schema = in_codes(schema_of(self._view, names))
        if self._kept is not None:
            return coded(self._kept.select(names), schema)
        return _filled(self._stored_piece(number, names), schema)

    def codes(self, number: int, name: str) -> Iterator[tuple[list[str | None], NDArray[np.int32]]]:
        """Return a column of texts without gaps of one piece, in turn: its words, and which word each row has."""
        for chunk in self.piece(number, [name]).column(name).chunks:
            assert isinstance(chunk, pa.DictionaryArray)  # noqa: S101 - as `piece` says
            codes: NDArray[np.int32] = np.from_dlpack(chunk.indices)  # type: ignore[assignment]  # as `piece` says
            yield chunk.dictionary.to_pylist(), codes

    def _is_sound_in_pieces(self, stored: pa.Schema) -> bool:
        """Judge many rows without having all at once; whatever may be a fault is judged once more, whole."""
        num_rows: int = self._metadata.num_rows
        if num_rows <= _FEW_ROWS or num_rows != sum(self.lengths):
            return False
        if schema_fault(self._view, stored) is not None:
            return False
        try:
            return all(map(self._is_sound_piece, range(len(self.lengths))))
        except (pa.ArrowException, OSError, ValueError):
            return False

    def _is_sound_piece(self, number: int) -> bool:
        piece = self._stored_piece(number, None)
        return piece.num_rows == self.lengths[number] and values_fault(self._view, piece) is None

    def _whole(self, file: pq.ParquetFile) -> pa.Table:
        stored = file.read(use_threads=False)
        fault = schema_fault(self._view, stored.schema) or values_fault(self._view, stored)
        if fault is not None:
            raise UnsoundRows(fault)
        return in_newest_schema(self._view, stored)

    def _stored_piece(self, number: int, names: Sequence[str] | None) -> pa.Table:
        known = None if names is None else [name for name in names if name in self._names]
        with self._reading:
            return self._in_codes.read_row_group(number, columns=known, use_threads=False)

    @functools.cached_property
    def _in_codes(self) -> pq.ParquetFile:
        """The file, opened once for all pieces: that takes as long as the file has pieces."""
        return self._opened(self._metadata, self._texts)

    def _opened(
        self, metadata: pq.FileMetaData | None = None, texts: Sequence[str] = ()
    ) -> pq.ParquetFile:
        return pq.ParquetFile(
            pa.BufferReader(self._content),
            metadata=metadata,
            read_dictionary=list(texts),
            pre_buffer=False,
        )


def in_newest_schema(view: str, table: pa.Table) -> pa.Table:
    """Fill a table up to all columns of the view, null where an older version did not have them."""
    return _filled(table, VIEWS[view])


def schema_of(view: str, names: Iterable[str]) -> pa.Schema:
    """Return the schema of some columns of a view."""
    return pa.schema([VIEWS[view].field(name) for name in names])


def in_codes(schema: pa.Schema) -> pa.Schema:
    """Return a schema with its texts as dictionaries."""
    coded_text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            field.with_type(coded_text) if pa.types.is_string(field.type) else field
            for field in schema
        ]
    )


def coded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with texts as dictionaries, where `schema` has them so."""
    columns = [
        column.dictionary_encode() if pa.types.is_dictionary(field.type) else column
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    stored = set(table.schema.names)
    columns = [
        table.column(field.name) if field.name in stored else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
