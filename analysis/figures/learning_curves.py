"""Learning curves of every cell, coloured by its BS/LR (the paper's Figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.style.cell_styles import CellStyle, cell_panels, legend_beside
from analysis.figures.style.crowd import (
    crowd_bar,
    crowd_colors,
    crowd_scale,
    draw_curves,
    is_crowd,
)
from analysis.figures.style.figure_style import WIDE_INCHES, WIDTH_INCHES, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.laws.palette import GREY
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import CELL_COLUMNS, Cell, cells_of, groups_by_cell
from analysis.records.load import SweepData
from analysis.text.number_text import with_error
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM

_PANELS = (
    ("train_accuracy", "training accuracy"),
    ("validation_accuracy", "validation accuracy"),
    ("train_loss", "training loss L\nper example"),
    ("validation_loss", "validation loss L\nper example"),
)

_MARKS = 6
"""About so many markers stand on a curve; a single epoch is a marker alone."""


def learning_curves(data: SweepData) -> Figure | None:
    """Draw accuracy and loss against epochs: mean over seeds, band ± one standard error.

    Seeds that diverged are left out; at each epoch the mean is over the seeds that have a value. What
    no seed has a value of has no panel; without any there is no figure. A crowd of cells has a line
    each, without a band.
    """
    means = curve_means(data)
    drawn = [panel for panel in _PANELS if np.isfinite(means[panel[0]]).any()]
    if not drawn:
        return None
    means = means[np.isfinite(means[[column for column, _ in drawn]].to_numpy()).any(axis=1)]
    cells = cells_of(means.drop_duplicates(CELL_COLUMNS))
    if is_crowd(cells):
        return _crowd(cells, means, drawn, _milestones(data))
    return _apart(data.cells, dict(groups_by_cell(means)), drawn, _milestones(data))


def curve_means(data: SweepData) -> pd.DataFrame:
    """Average every cell's epochs over the seeds that have a minimum: mean and `_stderr` of each quantity."""
    lost = data.trials[data.trials["outcome"].isin(OUTCOMES_WITHOUT_MINIMUM)]["trial_id"]
    epochs = data.epochs[~data.epochs["trial_id"].isin(lost)]
    names = [column for column, _ in _PANELS]
    groups = epochs.astype(dict.fromkeys(names, float)).groupby(
        [*CELL_COLUMNS, "epoch"], observed=True
    )[names]
    found = groups.mean().join(groups.sem().add_suffix("_stderr")).reset_index()
    return found.assign(epoch=found["epoch"] + 1)


def _apart(
    cells: Sequence[Cell],
    found: Mapping[Cell, pd.DataFrame],
    drawn: Sequence[tuple[str, str]],
    milestones: Sequence[int],
) -> Figure:
    """Draw cells one by one, in small multiples where all of the sweep are many."""
    panels = cell_panels(cells, found)
    is_together = len(panels) == 1
    num_rows, num_columns = (-(-len(drawn) // 2), 2) if is_together else (len(panels), len(drawn))
    size = (WIDTH_INCHES, 3.2 * num_rows + 0.4) if is_together else (WIDE_INCHES, 1.9 * num_rows + 0.4)  # fmt: skip
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        num_rows, num_columns, sharex=True, sharey=False if is_together else "col", squeeze=False
    )
    places = list(product(panels, drawn))
    for axes, (panel, quantity) in zip(grid.flat, places, strict=False):
        for cell, style in panel.styles.items():
            _draw(axes, cell, found[cell], quantity[0], style)
        panel_title(axes, panel.title, (WIDE_INCHES - 1.5) / len(drawn) - 0.1)
        _finish(axes, quantity, milestones)
    _label_epochs(grid, len(places))
    if is_together:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    else:
        for axes in grid[:, -1]:
            legend_beside(axes)
    return figure


def _crowd(
    cells: Sequence[Cell],
    means: pd.DataFrame,
    drawn: Sequence[tuple[str, str]],
    milestones: Sequence[int],
) -> Figure:
    """Draw a line for each cell, coloured by BS/LR."""
    num_rows = -(-len(drawn) // 2)
    figure = Figure(figsize=(WIDTH_INCHES, 2.9 * num_rows + 0.4), layout="constrained")
    grid = figure.subplots(num_rows, 2, sharex=True, squeeze=False)
    scale = crowd_scale(cells)
    for axes, quantity in zip(grid.flat, drawn, strict=False):
        rows = means[np.isfinite(means[quantity[0]])]
        starts = np.flatnonzero(~rows.duplicated(CELL_COLUMNS))
        points = rows[["epoch", quantity[0]]].to_numpy(np.float64)
        colors = crowd_colors(scale, cells_of(rows.iloc[starts]))
        draw_curves(axes, np.split(points, starts)[1:], colors)
        _finish(axes, quantity, milestones)
    _label_epochs(grid, len(drawn))
    crowd_bar(figure, list(grid.flat[: len(drawn)]), scale)
    if milestones:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def _finish(axes: Axes, quantity: tuple[str, str], milestones: Sequence[int]) -> None:
    """Label the ordinate, a loss on a logarithmic scale, and draw where the learning rate falls."""
    column, label = quantity
    axes.set_ylabel(label)
    if column.endswith("loss"):
        set_log(axes.yaxis)
    for place, milestone in enumerate(milestones):
        label = "" if place else "the learning rate falls"
        axes.axvline(milestone, color=GREY, linewidth=0.7, linestyle=":", label=label)


def _label_epochs(grid: npt.NDArray[np.object_], num_used: int) -> None:
    """Label the abscissa below the lowest panels, and remove the unused ones."""
    num_columns = grid.shape[1]
    for unused in grid.flat[num_used:]:
        unused.remove()
    for axes in grid.flat[max(0, num_used - num_columns) : num_used]:
        axes.set_xlabel("epochs")
        axes.tick_params(labelbottom=True)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _draw(axes: Axes, cell: Cell, rows: pd.DataFrame, column: str, style: CellStyle) -> None:
    known = rows[np.isfinite(rows[column])]
    epochs, means = known["epoch"].to_numpy(), known[column].to_numpy()
    spread = known[f"{column}_stderr"].to_numpy()
    stderr = np.nan_to_num(spread)
    stride = max(1, len(epochs) // _MARKS)
    (curve,) = axes.plot(
        epochs, means, color=style.color, linestyle=style.dashes, marker=style.marker, markersize=4,
        markevery=stride, label=style.label,
    )  # fmt: skip
    name = column.replace("_", " ")
    titles = [
        cell_title(cell, f"epoch {epoch}, {name} {with_error(Uncertain(mean, error))}")
        for epoch, mean, error in list(
            zip(epochs.tolist(), means.tolist(), spread.tolist(), strict=True)
        )[::stride]
    ]
    set_titles(curve, titles)
    axes.fill_between(
        epochs, means - stderr, means + stderr, color=style.color, alpha=0.18, linewidth=0
    )


def _milestones(data: SweepData) -> list[int]:
    """Return the epochs after which the learning rate falls, where all trials share them."""
    found = {tuple(item.trial.training.milestones) for item in data.plan.trials}
    return list(found.pop()) if len(found) == 1 else []
