"""The findings about the laws, in plain text for the end of a run."""

from __future__ import annotations

import pyarrow as pa

from analysis.findings.law_rows import law_rows
from analysis.findings.league import league
from analysis.tables.law_tables import league_tables, verdict_tables
from analysis.text.text_table import render


def verdict_text(predictions: pa.Table) -> str:
    """Return laws × cells, then the league over cells; empty if nothing was measured for a law."""
    frame = predictions.to_pandas()
    tables = [*verdict_tables(law_rows(frame)), *league_tables(league(frame))]
    parts = [render(table) for table in tables]
    return "\n" + "\n\n".join(parts) + "\n" if parts else ""
