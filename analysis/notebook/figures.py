"""The report's figures as Matplotlib figures, built from one sweep's records."""

from __future__ import annotations

from collections.abc import Collection

from matplotlib.figure import Figure

from analysis.aggregation.aggregate import aggregate_records
from analysis.figures.measured_figures import MEASURED_FIGURES, measured_findings
from analysis.figures.sweep_figures import SWEEP_FIGURES, build_all
from analysis.findings.table1 import build_table1
from analysis.records.load import SweepData
from analysis.report.law_section import LAW_FIGURES
from analysis.report.report import laws_of

FIGURE_NAMES = (*SWEEP_FIGURES, *MEASURED_FIGURES, *LAW_FIGURES)


def build_figures(data: SweepData, names: Collection[str]) -> dict[str, Figure]:
    """Build the named figures that have something to show.

    A notebook displays the figure on the last line of a cell once `%matplotlib inline` was called;
    `figure.savefig` writes it.
    """
    table = build_table1(data)
    of_sweep = {name: recipe for name, recipe in SWEEP_FIGURES.items() if name in names}
    of_cells = {name: recipe for name, recipe in MEASURED_FIGURES.items() if name in names}
    of_laws = {name: recipe for name, recipe in LAW_FIGURES.items() if name in names}
    found = build_all(of_sweep, data, table)
    if not of_cells and not of_laws:
        return found
    derived = aggregate_records(data)
    if of_cells:
        findings = measured_findings(data, derived.cell_measurements.to_pandas())
        found |= build_all(of_cells, findings)
    if of_laws:
        found |= build_all(of_laws, laws_of(data, table, derived))
    return found
