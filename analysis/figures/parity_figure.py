"""The figure of measured against predicted: a panel a quantity, a mark a law, cell and window that the law speaks of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.crowd import as_image, is_crowd
from analysis.figures.style.figure_style import WIDTH_INCHES, axis_label, set_log
from analysis.figures.style.hover import set_titles
from analysis.figures.style.law_marks import error_bar, labels_once, law_title
from analysis.findings.law_rows import LawRow, where_they_speak
from analysis.findings.league import Standing
from analysis.laws.law import Law
from analysis.laws.palette import GREY
from analysis.mathematics.verdict import BAND
from analysis.predictions import laws
from analysis.text.interval_text import ratio_text

_LONGEST_LABEL = 46
"""Characters of a legend that takes half of the width."""


def parity_figure(rows: Sequence[LawRow], standings: Sequence[Standing] = ()) -> Figure | None:
    """Draw measured against predicted, a panel per quantity and a mark per law, cell and window that counts.

    Legends say by what factor each law is off, as the league finds.

    Args:
        rows: Of the view `predictions`.
        standings: Of the league, at most one a law and quantity.
    """
    counted = [row for row in where_they_speak(rows) if row.has_ratio]
    targets = [
        target
        for target in ("excess_loss", "expected_gradient_norm_squared")
        if any(row.target == target for row in counted)
    ]
    if not targets:
        return None
    labels = {target: _labels(target, standings) for target in targets}
    drawn = {(row.target, row.prediction) for row in counted}
    num_lines = [
        sum(1 + labels[target][law].count("\n") for of, law in drawn if of == target)
        for target in targets
    ]
    height = (4.0 if len(targets) > 1 else 4.8) + 0.17 * (max(num_lines) + 2)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    for axes, target in zip(panels, targets, strict=True):
        _parity(axes, [row for row in counted if row.target == target], labels[target])
        axes.set_xlabel(f"predicted {axis_label(target)}")
        axes.set_ylabel(f"measured {axis_label(target)}")
    title = "measured / predicted, with 95 % interval" if standings else None
    first, *others = panels
    figure.legend(*labels_once([first]), loc="outside lower left", fontsize=8, title=title)
    for axes in others:
        figure.legend(*labels_once([axes]), loc="outside lower right", fontsize=8, title=title)
    return figure


def _labels(target: str, standings: Sequence[Standing]) -> dict[str, str]:
    """Return what a legend calls each law: its name, and by what factor it is off, if that is known."""
    ratios = {
        each.prediction: ratio_text(each.judged[0])
        for each in standings
        if each.target == target and math.isfinite(each.judged[0].value)
    }
    return {name: _label(law.human_name, ratios.get(name, "")) for name, law in laws().items()}


def _label(name: str, ratio: str) -> str:
    """Return a name with its ratio, on a line of its own where both are too long for one."""
    if not ratio:
        return name
    label = f"{name}: {ratio}"
    return label if len(label) <= _LONGEST_LABEL else f"{name}:\n{ratio}"


def _parity(axes: Axes, rows: Sequence[LawRow], labels: Mapping[str, str]) -> None:
    mark = _mark_together if is_crowd({row.cell for row in rows}) else _mark_apart
    for law in laws().values():
        mark(axes, law, [row for row in rows if row.prediction == law.name], labels[law.name])
    sides = [side for row in rows for side in (row.predicted, row.measured)]
    margin = max(1.6, (max(sides) / min(sides)) ** 0.04)
    ends = np.array([min(sides) / margin, max(sides) * margin])
    axes.plot(ends, ends, color=GREY, linewidth=1, label="equal, ± 10 %", zorder=0)
    if not all(row.is_valid for row in rows):
        label = "hollow: an assumption of the law is broken"
        axes.plot([], [], "o", color=GREY, markerfacecolor="none", label=label)
    low, high = (ends * edge for edge in BAND)
    axes.fill_between(ends, low, high, color=GREY, alpha=0.25, linewidth=0)
    axes.set(xlim=tuple(ends), ylim=tuple(ends))
    set_log(axes.xaxis)
    set_log(axes.yaxis)
    axes.set_aspect("equal")


def _mark_apart(axes: Axes, law: Law, rows: Sequence[LawRow], label: str) -> None:
    """Draw a mark with its errors for each cell."""
    for row in rows:
        bars = axes.errorbar(
            row.predicted,
            row.measured,
            xerr=_log_bar(row.predicted, row.predicted_stderr),
            yerr=_log_bar(row.measured, row.measured_stderr),
            fmt=law.marker, color=law.color, markersize=5, elinewidth=1,
            markerfacecolor=law.color if row.is_valid else "none", label=label,
        )  # fmt: skip
        set_titles(bars.lines[0], [law_title(row, law, beside=row.log_ratio)])


def _mark_together(axes: Axes, law: Law, rows: Sequence[LawRow], label: str) -> None:
    """Draw the marks of many cells, full and hollow ones, without errors, as an image each."""
    for is_valid in (True, False):
        kept = [row for row in rows if row.is_valid == is_valid]
        if kept:
            marks = axes.scatter(
                [row.predicted for row in kept], [row.measured for row in kept], s=6,
                marker=law.marker, edgecolors=law.color, linewidths=0.5,
                facecolors=law.color if is_valid else "none", label=label,
            )  # fmt: skip
            as_image(marks)


def _log_bar(value: float, stderr: float) -> list[list[float]]:
    """Return an error bar that does not reach 0, which a logarithmic axis cannot show."""
    return [[min(error_bar(stderr), value * 0.999)], [error_bar(stderr)]]
