"""Every number measured, statistic by statistic: of the whole model, then layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.findings.leading import rows_of_leading_variant
from analysis.mathematics.evenly_chosen import evenly_chosen
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import CELL_COLUMNS, Cell, by_ratio
from analysis.records.cell_states import CellState
from analysis.records.load import SweepData
from analysis.tables.chosen_cells import MOST_COLUMNS, MOST_TABULATED
from analysis.tables.measured.cell_marks import cell_head, mark_notes
from analysis.text.number import written_scalar
from analysis.text.number_text import NOTHING, with_error
from analysis.text.text_table import TextTable
from workers.contract.quantities import GLOSSARY

_MORE = "{} further cells are in view cell_measurements."
_WHOLE = ["quantity", "index", "split", "objective", "bn_mode", "method"]
_LAYER = ["layer"]
_NOTE = "Columns are cells (BS, LR): mean over seeds ± one standard error; [n] where n seeds alone have a value."


def everything_tables(
    data: SweepData, cell_measurements: pd.DataFrame, states: Mapping[Cell, CellState]
) -> list[TextTable]:
    """Tabulate every mean of the whole model, one table a statistic and twelve cells, numbered where these are more.

    Of more than `MOST_TABULATED` cells twelve are shown, evenly chosen by BS/LR: the others' numbers
    would be most of the page, and are in the view.
    """
    shown, more = _tabulated(states)
    whole = cell_measurements[cell_measurements["layer"].isna() & cell_measurements["mean"].notna()]
    tables = []
    for planned in data.plan.statistics:
        rows = whole[whole["statistic_id"] == planned.statistic_id]
        for cells, part in _parts(rows, shown):
            heads = ("quantity", "index", "split", "objective", "BN", "method")
            notes = (_NOTE, *more, *mark_notes({cell: states[cell] for cell in cells}))
            columns = (*heads, *(cell_head(cell, states[cell]) for cell in cells))
            title = f"Everything measured by {planned.statistic.name}"
            content = _rows(part, _WHOLE, cells, states)
            tables.append(TextTable(title, columns, content, notes, num_left=len(heads)))
    return _numbered(tables)


def _numbered(tables: Sequence[TextTable]) -> list[TextTable]:
    """Number tables of one title: what a page leaves of a long one is in a file of that name."""
    counts = Counter(table.title for table in tables)
    seen = Counter[str]()
    numbered = []
    for table in tables:
        seen[table.title] += 1
        place = f", {seen[table.title]} of {counts[table.title]}" if counts[table.title] > 1 else ""
        numbered.append(replace(table, title=table.title + place))
    return numbered


def layer_tables(
    data: SweepData, cell_measurements: pd.DataFrame, states: Mapping[Cell, CellState]
) -> list[TextTable]:
    """Tabulate every quantity layer by layer, in at most twelve cells evenly chosen by BS/LR.

    Of several variants of a quantity the leading one is shown.
    """
    by_layer = cell_measurements[
        cell_measurements["layer"].notna() & cell_measurements["mean"].notna()
    ]
    if by_layer.empty:
        return []
    rows = rows_of_leading_variant(by_layer, data.plan)
    order = data.measurements["layer"].dropna().unique().tolist()
    cells = evenly_chosen(by_ratio(states), MOST_COLUMNS)
    shown = set(cells)
    rows = rows[[cell in shown for cell in _cells_of(rows)]]
    left = len(states) - len(cells)
    more = (_MORE.format(left),) if left else ()
    tables = []
    for quantity, group in rows.groupby("quantity", sort=False, observed=True):
        ranked = group.assign(layer=pd.Categorical(group["layer"], order, ordered=True))
        heads = tuple(cell_head(cell, states[cell]) for cell in cells)
        first = group.iloc[0]
        tables.append(
            TextTable(
                f"{_symbol(str(quantity))} by layer ({first['statistic']}, {first['objective']} objective)",
                ("layer", *heads),
                _rows(ranked, _LAYER, cells, states),
                (_NOTE, *more, *mark_notes({cell: states[cell] for cell in cells})),
                num_left=1,
            )
        )
    return tables


def _tabulated(
    states: Mapping[Cell, CellState],
) -> tuple[Mapping[Cell, CellState], tuple[str, ...]]:
    """Return the cells to tabulate, and a note where these are not all."""
    if len(states) <= MOST_TABULATED:
        return states, ()
    cells = evenly_chosen(by_ratio(states), MOST_COLUMNS)
    left = len(states) - len(cells)
    return {cell: states[cell] for cell in cells}, (_MORE.format(left),)


def _parts(
    rows: pd.DataFrame, states: Mapping[Cell, CellState]
) -> Iterator[tuple[list[Cell], pd.DataFrame]]:
    """Part rows by their cells, twelve cells at a time; cells without any are left out."""
    if rows.empty:
        return
    of_rows = _cells_of(rows)
    present = set(of_rows)
    cells = [cell for cell in states if cell in present]
    for first in range(0, len(cells), MOST_COLUMNS):
        shown = cells[first : first + MOST_COLUMNS]
        wanted = set(shown)
        yield shown, rows[[cell in wanted for cell in of_rows]]


def _rows(
    rows: pd.DataFrame,
    keys: Sequence[str],
    cells: Sequence[Cell],
    states: Mapping[Cell, CellState],
) -> tuple[tuple[str, ...], ...]:
    """Lay rows out with a line for each combination of the keys and a column for each cell."""
    ordered = rows.sort_values(list(keys), kind="stable")
    names = zip(*(ordered[key].tolist() for key in keys), strict=True)
    means, stderrs = (ordered[name].astype(float).tolist() for name in ("mean", "stderr"))
    counts = ordered["num_seeds"].astype(int).tolist()
    lines: dict[tuple[str, ...], dict[Cell, str]] = {}
    for key, cell, mean, stderr, count in zip(
        names, _cells_of(ordered), means, stderrs, counts, strict=True
    ):
        line = tuple(_text(name, value) for name, value in zip(keys, key, strict=True))
        num_seeds = states[cell].num_seeds
        few = "" if count == num_seeds else f" [{count}]"
        text = with_error(Uncertain(mean, stderr))
        lines.setdefault(line, {})[cell] = text + few if few else text
    return tuple(
        (*line, *(texts.get(cell, NOTHING) for cell in cells)) for line, texts in lines.items()
    )


def _cells_of(rows: pd.DataFrame) -> list[Cell]:
    keys = rows[CELL_COLUMNS].itertuples(index=False, name=None)
    return [Cell(str(loss), int(size), float(rate)) for loss, size, rate in keys]


def _text(name: str, value: object) -> str:
    if name == "quantity":
        return _symbol(str(value))
    if pd.isna(value):  # type: ignore[call-overload]  # a scalar of any type
        return ""
    return written_scalar(value)


def _symbol(quantity: str) -> str:
    return GLOSSARY[quantity].symbol if quantity in GLOSSARY else quantity
