"""What was measured at the minima, cell by cell: curvature, gradient noise, losses and norms, and SGD about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.findings.measured import (
    EDGE_MARGIN,
    STABILITY_LIMIT,
    MeasuredCells,
    MeasuredQuantity,
    Rate,
    stability,
)
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, ratio_texts
from analysis.records.cell_states import CellState
from analysis.tables.measured.cell_marks import cell_texts, mark_notes
from analysis.tables.table1_text import CELL_COLUMNS
from analysis.text.number_text import NOTHING, with_error
from analysis.text.text_table import TextTable
from workers.contract.quantities import GLOSSARY

CURVATURE = ("hessian_top_eigenvalue", "hessian_residual_norm", "hessian_trace",
             "hessian_frobenius_squared")  # fmt: skip
NOISE = ("gradient_noise_trace", "hessian_noise_trace", "gradient_norm_squared",
         "gradient_curvature", "simple_noise_scale", "noise_scale")  # fmt: skip
OUTCOME = ("mean_loss", "accuracy", "parameter_norm_squared")
_OF_SPLITS = ("mean_loss", "accuracy")
EXCURSION = ("excess_loss", "harmonic_excess_loss", "expected_gradient_norm_squared",
             "batch_gradient_norm_squared", "velocity_norm_squared",
             "fluctuation_dissipation_ratio", "fluctuation_dissipation_gap")  # fmt: skip

_ERROR = "± is one standard error over seeds; ± ? where one seed alone has a value."


@dataclass(frozen=True)
class _Column:
    """A column of a table by cell: its head, what it shows of a cell, and the seeds behind it."""

    head: str
    show: Callable[[Cell], str]
    num_seeds: Mapping[Cell, int]


def measured_tables(found: MeasuredCells) -> list[TextTable]:
    """Tabulate curvature, noise, outcome and excursions by cell; only columns that hold a value."""
    tables = [
        _table("Curvature", found, _curvature_columns(found), [*_sources(found, CURVATURE), *_step_notes(found)]),
        *(
            _table(title, found, [column for name in names for column in _columns(found, name)], _sources(found, names))
            for title, names in (
                ("Gradient noise", NOISE), ("Loss, accuracy and norm", OUTCOME), ("SGD about the minimum", EXCURSION),
            )
        ),
    ]  # fmt: skip
    return [table for table in tables if table is not None]


def _curvature_columns(found: MeasuredCells) -> list[_Column]:
    columns = []
    for name in CURVATURE:
        columns += _columns(found, name)
        if name == "hessian_top_eigenvalue" and name in found.total:
            counts = found.total[name].num_seeds
            columns += [_step_column(found, rate, counts) for rate in ("initial", "final")]
    return columns


def _columns(found: MeasuredCells, name: str) -> list[_Column]:
    return [_column(quantity, suffix) for suffix, quantity in _shown(found, name)]


def _shown(found: MeasuredCells, name: str) -> list[tuple[str, MeasuredQuantity]]:
    """Return where a quantity is shown from, with what tells the columns apart: both splits, or one."""
    if name in _OF_SPLITS:
        places = [(" train", found.train), (" test", found.test)]
    elif name in EXCURSION or name.startswith(("hessian_top", "hessian_res")):
        places = [("", found.total)]
    else:
        places = [("", found.train)]
    return [(suffix, values[name]) for suffix, values in places if name in values]


def _step_column(found: MeasuredCells, rate: Rate, counts: Mapping[Cell, int]) -> _Column:
    steps = found.step_size(rate)
    head = "ηλ₁/(1+μ)" if found.momentum else "ηλ₁"

    def show(cell: Cell) -> str:
        step = steps.get(cell)
        return NOTHING if step is None else f"{with_error(step)} {stability(step.value)}"

    return _Column(f"{head}, {rate} η", show, counts)


def _column(quantity: MeasuredQuantity, suffix: str = "") -> _Column:
    symbol = GLOSSARY[quantity.quantity].symbol
    none = Uncertain(float("nan"))
    return _Column(
        symbol + suffix,
        lambda cell: with_error(quantity.values.get(cell, none)),
        quantity.num_seeds,
    )


def _table(
    title: str, found: MeasuredCells, columns: Sequence[_Column], notes: Sequence[str]
) -> TextTable | None:
    if not columns:
        return None
    ratios = ratio_texts(found.states)
    rows = tuple(
        (*cell_texts(cell, ratios[cell], _seeds(cell, state, columns), state), *(each.show(cell) for each in columns))
        for cell, state in found.states.items()
    )  # fmt: skip
    heads = (*CELL_COLUMNS, *(column.head for column in columns))
    return TextTable(f"{title} by cell", heads, rows, (_ERROR, *notes, *mark_notes(found.states)))


def _seeds(cell: Cell, state: CellState, columns: Sequence[_Column]) -> str:
    """Write how many seeds have a value, of all: `2/3`, or `2-3/3` where columns differ."""
    counts = sorted({column.num_seeds.get(cell, 0) for column in columns})
    return f"{'-'.join(map(str, {counts[0]: 0, counts[-1]: 0}))}/{state.num_seeds}"


def _sources(found: MeasuredCells, names: Sequence[str]) -> list[str]:
    """Say of what each column comes, quantities of one source together."""
    by_source: dict[str, list[str]] = {}
    for name in names:
        for _, quantity in _shown(found, name):
            by_source.setdefault(quantity.source, []).append(GLOSSARY[name].symbol)
    return [f"{', '.join(symbols)}: {source}." for source, symbols in by_source.items()]


def _step_notes(found: MeasuredCells) -> list[str]:
    if "hessian_top_eigenvalue" not in found.total:
        return []
    low, high = (STABILITY_LIMIT * (1 + sign * EDGE_MARGIN) for sign in (-1, 1))
    step = "ηλ₁/(1+μ)" if found.momentum else "ηλ₁"
    return [
        f"SGD on a quadratic is stable while {step} < {STABILITY_LIMIT:g}: stable below {low:g}, unstable "
        f"above {high:g}, edge between. λ₁ is that of the trained network: at the initial rate it says what "
        "a return to that rate would meet."
    ]
