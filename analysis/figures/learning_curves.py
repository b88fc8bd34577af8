"""Learning curves of every cell, coloured by the group of its BS/LR (the paper's Figures 2 and 3)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.figure_style import WIDTH_INCHES, CellStyle, cell_styles, set_log
from analysis.laws.palette import GREY
from analysis.records.cell import groups_by_cell
from analysis.records.load import SweepData
from workers.contract.lacking import OUTCOMES_WITHOUT_MINIMUM

_PANELS = (
    ("train_accuracy", "training accuracy"),
    ("validation_accuracy", "validation accuracy"),
    ("train_loss", "training loss L"),
    ("validation_loss", "validation loss L"),
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
    styles, num_rows = cell_styles(data.cells), -(-len(drawn) // 2)
    figure = Figure(figsize=(WIDTH_INCHES, 3.2 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, 2, sharex=True, squeeze=False).flatten()
    for unused in panels[len(drawn) :]:
        unused.remove()
    for axes, (column, label) in zip(panels, drawn, strict=False):
        for cell, rows in groups_by_cell(epochs):
            _draw(axes, rows, column, styles[cell])
        axes.set_ylabel(label)
        if column.endswith("loss"):
            set_log(axes.yaxis)
            axes.set_xlabel("epochs")
        for milestone in _milestones(data):
            axes.axvline(milestone, color=GREY, linewidth=0.7, linestyle=":")
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, column: str, style: CellStyle) -> None:
    by_epoch = rows.astype({column: float}).groupby("epoch")[column]
    mean, stderr = by_epoch.mean(), by_epoch.sem().fillna(0.0)
    epochs = mean.index.to_numpy() + 1
    axes.plot(
        epochs,
        mean,
        color=style.color,
        linestyle=style.dashes,
        marker=style.marker,
        markersize=4,
        markevery=max(1, len(epochs) // _MARKS),
        label=style.label,
    )
    axes.fill_between(
        epochs, mean - stderr, mean + stderr, color=style.color, alpha=0.18, linewidth=0
    )


def _milestones(data: SweepData) -> list[int]:
    """Return the epochs after which the learning rate falls, where all trials share them."""
    found = {tuple(item.trial.training.milestones) for item in data.plan.trials}
    return list(found.pop()) if len(found) == 1 else []
