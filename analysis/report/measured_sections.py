"""The sections about what was measured and paid for: curvature and noise, cost, what is open, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.figures.measured_figures import MEASURED_FIGURES
from analysis.findings.cost import cost, precisions
from analysis.findings.measured import MeasuredCells
from analysis.findings.provenance import Provenance
from analysis.findings.unfinished import unfinished
from analysis.records.load import SweepData
from analysis.report.web.page import Bullets, Code, FigurePart, Folded, Part, Section, Table, tables
from analysis.tables.measured.cost_tables import cost_table, precision_table, unfinished_table
from analysis.tables.measured.environment_text import environment_table
from analysis.tables.measured.everything_tables import everything_tables, layer_tables
from analysis.tables.measured.measured_tables import measured_tables
from analysis.tables.measured.provenance_text import (
    bibtex,
    commands,
    provenance_facts,
    resolved_sweep,
)
from analysis.tables.report_tables import network_table, run_facts, state_table
from analysis.tables.table1_text import CELL_COLUMNS
from analysis.text.text_table import TextTable


def measured_section(
    data: SweepData,
    measured: MeasuredCells,
    cell_measurements: pd.DataFrame,
    figures: Mapping[str, FigurePart],
) -> Section:
    """Show every quantity by cell, and folded every number there is, by layer too."""
    by_cell = [Table(table, num_keys=len(CELL_COLUMNS)) for table in measured_tables(measured)]
    states = measured.states
    return Section(
        "Curvature and noise",
        [
            *by_cell,
            *(figures[name] for name in MEASURED_FIGURES if name in figures),
            *_folded("Every number", everything_tables(data, cell_measurements, states)),
            *_folded("Layer by layer", layer_tables(data, cell_measurements, states)),
        ],
    )


def cost_section(data: SweepData) -> Section:
    """Show what training and each statistic took, and what a digit of each estimate costs."""
    return Section(
        "What it cost", tables([cost_table(cost(data)), precision_table(precisions(data))])
    )


def done_section(data: SweepData, measured: MeasuredCells, origin: Provenance) -> Section:
    """Show the state of every cell, and by which command what is open is finished."""
    open_seeds = unfinished_table(unfinished(data), origin.run_command)
    return Section("What is done", tables([state_table(measured.states), open_seeds]))


def provenance_section(data: SweepData, origin: Provenance, store_uri: str) -> Section:
    """Show what was run, on what, with which code, and the commands that make it again."""
    networks = None if data.trials.empty else network_table(data)
    environments = environment_table(origin.environments)
    return Section(
        "Provenance",
        [
            Bullets([*run_facts(data, store_uri), *provenance_facts(origin)]),
            *tables([networks]),
            *([] if environments is None else [Table(environments, num_keys=1)]),
            Folded("The commands that make it again", [Code("\n".join(commands(origin)))]),
            Folded("The resolved sweep", [Code(resolved_sweep(data.plan))]),
            Folded("BibTeX", [Code(bibtex(origin))]),
        ],
    )


def _folded(summary: str, found: Sequence[TextTable]) -> list[Part]:
    return [Folded(summary, tables(found))] if found else []
