"""Learning curves of every cell, coloured by its BS/LR (the paper's Figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.cell_styles import CellStyle, cell_panels, legend_beside
from analysis.figures.figure_style import WIDE_INCHES, WIDTH_INCHES, set_log
from analysis.figures.hover import cell_title, set_titles
from analysis.laws.palette import GREY
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, groups_by_cell
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
    no seed has a value of has no panel; without any there is no figure.
    """
    lost = data.trials[data.trials["outcome"].isin(OUTCOMES_WITHOUT_MINIMUM)]["trial_id"]
    epochs = data.epochs[~data.epochs["trial_id"].isin(lost)]
    drawn = [panel for panel in _PANELS if np.isfinite(epochs[panel[0]].astype(float)).any()]
    if not drawn:
        return None
    found = dict(groups_by_cell(epochs))
    panels = cell_panels(cell for cell, rows in found.items() if _has_any(rows, drawn))
    is_together = len(panels) == 1
    num_rows, num_columns = (-(-len(drawn) // 2), 2) if is_together else (len(panels), len(drawn))
    size = (WIDTH_INCHES, 3.2 * num_rows + 0.4) if is_together else (WIDE_INCHES, 1.9 * num_rows + 0.4)  # fmt: skip
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        num_rows, num_columns, sharex=True, sharey=False if is_together else "col", squeeze=False
    )
    places = list(product(panels, drawn))
    for axes, (panel, (column, label)) in zip(grid.flat, places, strict=False):
        for cell, style in panel.styles.items():
            _draw(axes, cell, found[cell], column, style)
        axes.set_ylabel(label)
        axes.set_title(panel.title, fontsize=8.5)
        if column.endswith("loss"):
            set_log(axes.yaxis)
        for milestone in _milestones(data):
            axes.axvline(milestone, color=GREY, linewidth=0.7, linestyle=":")
    for unused in grid.flat[len(places) :]:
        unused.remove()
    for axes in grid.flat[max(0, len(places) - num_columns) : len(places)]:
        axes.set_xlabel("epochs")
        axes.tick_params(labelbottom=True)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if is_together:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    else:
        for axes in grid[:, -1]:
            legend_beside(axes)
    return figure


def _has_any(rows: pd.DataFrame, drawn: Iterable[tuple[str, str]]) -> bool:
    return any(np.isfinite(rows[column].astype(float)).any() for column, _ in drawn)


def _draw(axes: Axes, cell: Cell, rows: pd.DataFrame, column: str, style: CellStyle) -> None:
    by_epoch = rows.astype({column: float}).groupby("epoch")[column]
    means, spread = by_epoch.mean().dropna(), by_epoch.sem()
    stderr = spread.loc[means.index].fillna(0.0)
    epochs = means.index.to_numpy() + 1
    stride = max(1, len(epochs) // _MARKS)
    (curve,) = axes.plot(
        epochs, means, color=style.color, linestyle=style.dashes, marker=style.marker, markersize=4,
        markevery=stride, label=style.label,
    )  # fmt: skip
    name = column.replace("_", " ")
    titles = [
        cell_title(cell, f"epoch {epoch}, {name} {with_error(Uncertain(mean, spread[epoch - 1]))}")
        for epoch, mean in list(zip(epochs.tolist(), means, strict=True))[::stride]
    ]
    set_titles(curve, titles)
    axes.fill_between(
        epochs, means - stderr, means + stderr, color=style.color, alpha=0.18, linewidth=0
    )


def _milestones(data: SweepData) -> list[int]:
    """Return the epochs after which the learning rate falls, where all trials share them."""
    found = {tuple(item.trial.training.milestones) for item in data.plan.trials}
    return list(found.pop()) if len(found) == 1 else []
