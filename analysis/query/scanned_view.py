"""A view as DuckDB scans it: it asks an Arrow dataset for the columns and the rows that its plan needs."""

from __future__ import annotations

from typing import final

import pyarrow.compute as pc
import pyarrow.dataset as ds

from workers.contract.view_rows import ViewRows


@final
class ScannedView(ds.InMemoryDataset):
    """A dataset without rows of its own: each scan decodes from the view what it asks for."""

    def __init__(self, rows: ViewRows) -> None:
        super().__init__(rows.schema.empty_table())  # type: ignore[call-arg]  # the stubs lack it
        self._rows = rows

    def scanner(  # type: ignore[override]  # DuckDB gives these two alone
        self, columns: list[str] | None = None, filter: pc.Expression | None = None
    ) -> ds.Scanner:
        """Scan columns, all by default, of the rows of which a filter is true."""
        names = self.schema.names if columns is None else columns
        schema = self._rows.schema_of(names)
        return ds.Scanner.from_batches(self._rows.batches(names, filter), schema=schema)
