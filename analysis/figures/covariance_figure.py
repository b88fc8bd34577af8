"""The covariance of SGD along eigenvectors of the Hessian, and the noise there, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.evidence.covariance import CellCovariance
from analysis.evidence.directions import Direction
from analysis.figures.figure_style import WIDTH_INCHES, cell_styles, set_log
from analysis.laws.palette import GREY
from analysis.predictions import laws

_MARKERS = "os^DvPX<>"
_LAWS = (
    ("jastrzebski", "measured / (η/2m)", "jastrzebski_9"),
    ("wang", "measured / Wang", "wang_4_45"),
)
"""What is compared, its label, and the law as whose it is drawn."""


def covariance_figure(found: Sequence[CellCovariance]) -> Figure | None:
    """Draw measured/predicted variance against ηλ for both laws, and cᵢ against λᵢ by cell."""
    if not found:
        return None
    has_noise = any(item.noise > 0 for cell in found for item in chain(*cell.trials))
    figure = Figure(figsize=(WIDTH_INCHES, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if has_noise else 1, squeeze=False)[0]
    _ratios(panels[0], [item for cell in found for item in chain(*cell.trials)])
    if has_noise:
        _noise(panels[1], found)
    handles = [axes.get_legend_handles_labels() for axes in panels]
    figure.legend(
        [item for both in handles for item in both[0]],
        [item for both in handles for item in both[1]],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return figure


def _ratios(axes: Axes, items: Sequence[Direction]) -> None:
    for law, label, drawn_as in _LAWS:
        style = laws()[drawn_as]
        ratios = [(item.scaled_rate, ratio) for item in items if (ratio := item.log_ratio(law))]
        places = [place for place, _ in ratios if place > 0]
        kept = [ratio for place, ratio in ratios if place > 0]
        if not kept:
            continue
        values = np.exp([ratio.value for ratio in kept])
        lows = np.exp([ratio.value if ratio.low is None else ratio.low for ratio in kept])
        highs = np.exp([ratio.value if ratio.high is None else ratio.high for ratio in kept])
        axes.errorbar(
            places, values, yerr=[values - lows, highs - values],
            fmt=style.marker, color=style.color, markersize=3, elinewidth=0.6, alpha=0.6, label=label,
        )  # fmt: skip
    axes.axhline(1.0, color=GREY, linewidth=1, zorder=0)
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_xlabel("ηλ")
    axes.set_ylabel("variance: measured / predicted")


def _noise(axes: Axes, found: Sequence[CellCovariance]) -> None:
    styles = cell_styles([cell.cell for cell in found])
    eigenvalues = []
    for cell, marker in zip(
        dict.fromkeys(item.cell for item in found), cycle(_MARKERS), strict=False
    ):
        items = [
            item
            for other in found if other.cell == cell
            for item in chain(*other.trials) if item.noise > 0 and item.eigenvalue > 0
        ]  # fmt: skip
        eigenvalues += [item.eigenvalue for item in items]
        style = styles[cell]
        axes.plot(
            [item.eigenvalue for item in items], [item.noise for item in items],
            linestyle="", marker=marker, markersize=3.5, alpha=0.7, color=style.color, label=style.label,
        )  # fmt: skip
    ends = np.array([min(eigenvalues) / 1.3, max(eigenvalues) * 1.3])
    axes.plot(ends, ends, color=GREY, linewidth=1, zorder=0, label="c = λ, if σ² = H")
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_xlabel("λ, eigenvalue of H")
    axes.set_ylabel("c = uᵀσ²u, noise along it")
