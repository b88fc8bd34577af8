"""A view as DuckDB scans it: it asks an Arrow dataset for the columns and the rows that its plan needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from workers.contract.view_rows import ViewRows


class _Scan(NamedTuple):
    """What DuckDB takes for a scanner of Arrow: batches that are decoded when it asks for them.

    Arrow's own scanner reads ahead in a thread of its own, which is left within Python when a query ends early
    (LIMIT, EXISTS, an error): the process then aborts at its end, or never ends.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the one reader of the batches."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches)


@final
class ScannedView(ds.InMemoryDataset):
    """A dataset without rows of its own: each scan decodes from the view what it asks for."""

    def __init__(self, rows: ViewRows) -> None:
        super().__init__(rows.schema.empty_table())  # type: ignore[call-arg]  # the stubs lack it
        self._rows = rows

    def scanner(  # type: ignore[override]  # DuckDB gives these two alone, and asks for a reader alone
        self, columns: list[str] | None = None, filter: pc.Expression | None = None
    ) -> _Scan:
        """Scan columns, all by default, of the rows of which a filter is true."""
        names = self.schema.names if columns is None else columns
        return _Scan(self._rows.schema_of(names), self._rows.batches(names, filter))
