"""The rows of a view as its commits give them, decoded column by column and piece by piece as they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workers.contract.commits import Commit
from workers.contract.file_rows import FileRows, coded, in_codes
from workers.contract.schema import VIEWS

_BATCH_ROWS = 2**17

_NUMBER = "number of the row"
"""A name that no column has."""

Places = NDArray[np.int64]


class _Piece(NamedTuple):
    """Rows that are decoded at once: a row group of a file, or the rows of all files that have few."""

    start: int
    num_rows: int
    rows: FileRows | pa.Table
    number: int


@final
class ViewRows:
    """Rows of a view in the order of their commits.

    Attributes:
        schema: Of what is read: the view's, with texts as dictionaries.
    """

    def __init__(self, view: str, commits: Iterable[Commit]) -> None:
        chosen = list(commits)
        self._view = view
        self.schema = in_codes(VIEWS[view])
        files = {commit.path: commit.rows_of_file for commit in chosen}
        starts, self._pieces = _laid_out(files)
        self._places = _places(chosen, starts)

    def table(self) -> pa.Table:
        """Return all of them, in the view's own schema."""
        return self.coded_table().cast(VIEWS[self._view])

    def coded_table(self) -> pa.Table:
        """Return all of them in one chunk, texts as dictionaries; column by column, as all would be there twice."""
        is_wanted, order = _chosen(self._places, self._pieces)
        columns = []
        for field in self.schema:
            rows = _in_files(is_wanted, self._pieces, pa.schema([field])).unify_dictionaries()
            rows = rows if order is None else rows.take(order)
            columns.append(rows.combine_chunks().column(0))
        return pa.table(columns, schema=self.schema)

    def schema_of(self, names: Sequence[str]) -> pa.Schema:
        """Return the schema of some columns of what is read."""
        return pa.schema([self.schema.field(name) for name in names])

    def batches(
        self, names: Sequence[str], wanted: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Decode some columns of the rows that are wanted; other columns are decoded only to find these.

        One piece after another where the rows stand in the files in their order, else all at once.
        """
        places = self._places if wanted is None else self._wanted(wanted)
        schema = self.schema_of(names)
        if not _is_ascending(places):
            yield from _rows(places, self._pieces, schema).to_batches(_BATCH_ROWS)
            return
        for piece in self._pieces:
            first, end = np.searchsorted(places, [piece.start, piece.start + piece.num_rows])
            if first < end:
                yield from _rows(places[first:end], [piece], schema).to_batches(_BATCH_ROWS)

    def _wanted(self, wanted: pc.Expression) -> Places:
        """Find the rows for which an expression is true; of its text every word may be a column's name."""
        words = set(re.findall(r"\w+", str(wanted)))
        schema = pa.schema([field for field in self.schema if field.name in words])
        found = [_truth(_read(piece, schema), wanted) for piece in self._pieces]
        is_wanted = np.concatenate([np.zeros(0, dtype=bool), *found])
        found_places: Places = self._places[is_wanted[self._places]]
        return found_places


def _rows(places: Places, pieces: Sequence[_Piece], schema: pa.Schema) -> pa.Table:
    """Take rows out of some pieces, in the order of `places`."""
    is_wanted, order = _chosen(places, pieces)
    rows = _in_files(is_wanted, pieces, schema)
    return rows if order is None else rows.unify_dictionaries().take(order)


def _chosen(
    places: Places, pieces: Sequence[_Piece]
) -> tuple[NDArray[np.bool_], pa.Int64Array | None]:
    """Return which rows of some pieces `places` has, and their order, None where that is the order of the files."""
    start = pieces[0].start if pieces else 0
    is_wanted = np.zeros(sum(piece.num_rows for piece in pieces), dtype=bool)
    is_wanted[places - start] = True
    if _is_ascending(places):
        return is_wanted, None
    return is_wanted, pa.array((np.cumsum(is_wanted) - 1)[places - start])


def _in_files(
    is_wanted: NDArray[np.bool_], pieces: Sequence[_Piece], schema: pa.Schema
) -> pa.Table:
    """Read the wanted rows of some pieces; a piece without any is not decoded."""
    parts = [schema.empty_table()]
    begin = 0
    for piece in pieces:
        own = is_wanted[begin : begin + piece.num_rows]
        begin += piece.num_rows
        if own.any():
            rows = _read(piece, schema)
            parts.append(rows if own.all() else rows.filter(pa.array(own)))
    return pa.concat_tables(parts[1:] or parts)


def _is_ascending(places: Places) -> bool:
    return bool(np.all(places[1:] > places[:-1]))


def _read(piece: _Piece, schema: pa.Schema) -> pa.Table:
    if isinstance(piece.rows, FileRows):
        return piece.rows.piece(piece.number, schema.names)
    return coded(piece.rows.select(schema.names).combine_chunks(), schema)


def _laid_out(files: dict[str, FileRows]) -> tuple[dict[str, int], list[_Piece]]:
    """Lay the rows of all files one behind the other, in their order; return where each begins, and the pieces.

    Files of few rows that follow each other are one piece.
    """
    starts, pieces, end = dict[str, int](), list[_Piece](), 0
    for is_small, group in groupby(files.items(), key=lambda item: item[1].is_kept):
        its = dict(group)
        begin = end
        for path, rows in its.items():
            starts[path] = end
            end += rows.num_rows
        if is_small:
            together = pa.concat_tables([rows.table for rows in its.values()])
            pieces.append(_Piece(begin, together.num_rows, together, 0))
            continue
        for path, rows in its.items():
            begins = np.cumsum([starts[path], *rows.lengths]).tolist()
            pieces += [
                _Piece(start, num_rows, rows, number)
                for number, (start, num_rows) in enumerate(zip(begins, rows.lengths, strict=False))
            ]
    return starts, pieces


def _places(commits: Sequence[Commit], starts: dict[str, int]) -> Places:
    """Return where each row of the view is, of the rows of all files."""
    begins = np.array([starts[each.path] + each.start for each in commits], dtype=np.int64)
    lengths = np.array([each.num_rows for each in commits], dtype=np.int64)
    before = np.cumsum(lengths) - lengths
    return np.repeat(begins - before, lengths) + np.arange(lengths.sum())


def _truth(rows: pa.Table, wanted: pc.Expression) -> NDArray[np.bool_]:
    """Whether an expression is true of each row; one that is null is not."""
    numbered = rows.append_column(_NUMBER, pa.array(np.arange(rows.num_rows)))
    found = numbered.filter(wanted)
    is_wanted = np.zeros(rows.num_rows, dtype=bool)
    is_wanted[found.column(_NUMBER).to_numpy()] = True
    return is_wanted
