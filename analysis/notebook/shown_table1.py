"""Table 1 in a notebook: displayed, as a frame to compute with, and as LaTeX for a paper."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.findings.table1 import Table1, law_columns
from analysis.notebook.frames import describe
from analysis.report.web.page import Table
from analysis.report.web.render import render_still
from analysis.tables import table1_files
from analysis.tables.table1_text import render_text, text_tables
from workers.contract.columns import ColumnFacts, column_facts
from workers.contract.quantities import GLOSSARY

_PARTS = {"mean": "Mean over seeds", "stderr": "Standard error over seeds"}


@dataclass(frozen=True)
class ShownTable1:
    """Table 1 of one sweep.

    Attributes:
        table: The cells, with every estimate.
    """

    table: Table1

    def __repr__(self) -> str:
        return render_text(self.table)

    def _repr_html_(self) -> str:
        return "\n".join(render_still(Table(part)) for part in text_tables(self.table))

    def to_latex(self) -> str:
        """Return the parts of Table 1 as floats for LaTeX; needs the package booktabs."""
        return table1_files.to_latex(self.table)

    @property
    def frame(self) -> pd.DataFrame:
        """Every number in full, by cell: per example, and as sums (× N) in `<name>_sum_…`."""
        frame = pd.DataFrame(table1_files.rows_in_full(self.table))
        return describe(frame, {name: _facts(name) for name in frame.columns})


def _facts(name: str) -> ColumnFacts:
    stem, _, part = name.rpartition("_")
    if part in _PARTS:
        what = _estimate_facts(stem)
        return ColumnFacts(what.unit, f"{_PARTS[part]} of {what.meaning}")
    if name.startswith("paper_"):
        what = _estimate_facts(name.removeprefix("paper_"))
        return ColumnFacts(what.unit, f"As printed in the paper: {what.meaning}")
    if name == "num_measured":
        return ColumnFacts("seeds", "Seeds with both traces.")
    return column_facts("cells", name)


def _estimate_facts(stem: str) -> ColumnFacts:
    if stem.endswith("_sum"):
        one = _estimate_facts(stem.removesuffix("_sum"))
        return ColumnFacts(one.unit, f"{one.meaning.rstrip('.')}, × N.")
    if stem in GLOSSARY:
        return ColumnFacts(GLOSSARY[stem].unit, f"{GLOSSARY[stem].symbol}.")
    for column in law_columns():
        if stem == column.name:
            meaning = f"the excess loss that {column.law} gives with the {column.rate} η."
            return ColumnFacts("loss", meaning)
    return ColumnFacts("loss", "tr σ²/tr H, with an error paired by seed.")
