"""The figure of forks: the loss that SGD gains with time from one point, and what laws say of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.figure_style import WIDTH_INCHES, axis_label, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.figures.style.law_marks import error_bar, labels_once, law_title, value_text
from analysis.findings.law_rows import LawRow, at_the_end
from analysis.laws.law import Law
from analysis.predictions import laws

MOST_PANELS = 12

_COLUMNS = 3
_BESIDE = 1.1
"""From mark to mark where there is one window, as a factor of its steps."""
_MOST_STEPS = 6
"""Of a fork that are all labelled."""


def fork_figure(rows: Sequence[LawRow]) -> Figure | None:
    """Draw the excess loss of forks against the number of steps, a panel for each excursion.

    Points with one standard error; laws that speak of every window, for the sampler of the excursion,
    as lines with a band of one, or where there is one window as points beside the measured one; what laws with `dashes` say of the stationary state as horizontal lines.
    """
    panels = fork_panels(rows)
    if not panels:
        return None
    shown = panels[:MOST_PANELS]
    num_columns = min(_COLUMNS, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    width = WIDTH_INCHES if num_columns > 1 else WIDTH_INCHES * 0.75
    figure = Figure(figsize=(width, 0.7 + 2.2 * num_rows + 0.6 * (num_rows == 1)), layout="constrained")  # fmt: skip
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, panel in zip(grid.flat, shown, strict=False):
        _curve(axes, panel)
        panel_title(axes, _panel_label(panel[0], panels), width / num_columns - 0.5)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(axis_label("excess_loss"))
    for place, axes in enumerate(grid.flat):
        if len(shown) - num_columns <= place < len(shown):
            axes.set_xlabel("steps T from one point")
    figure.legend(
        *labels_once(list(grid.flat)), loc="outside upper center", ncols=3 if num_columns > 1 else 2
    )
    return figure


def fork_panels(rows: Sequence[LawRow]) -> list[list[LawRow]]:
    """Group the windows of forks by excursion, with all laws on the excess loss."""
    panels: dict[tuple[object, ...], list[LawRow]] = {}
    for row in sorted(rows, key=lambda item: (item.excursion, item.num_steps or 0)):
        if row.num_steps is not None and row.target == "excess_loss":
            panels.setdefault(row.excursion, []).append(row)
    return list(panels.values())


def curve_laws(rows: Sequence[LawRow]) -> list[Law]:
    """List the laws drawn as curves of time: they speak of every window, and are for the rows' sampler."""
    drawn = {(row.prediction, row.sampler) for row in rows if row.predicted > 0}
    return [
        law
        for law in laws().values()
        if law.windows == "every" and (law.name, law.sampler) in drawn
    ]


def level_laws(rows: Sequence[LawRow]) -> list[Law]:
    """List the laws drawn as horizontal lines: where they say that the loss settles."""
    drawn = {row.prediction for row in rows if row.predicted > 0}
    return [law for law in laws().values() if law.dashes is not None and law.name in drawn]


def _curve(axes: Axes, panel: Sequence[LawRow]) -> None:
    measured = {row.num_steps or 0: row for row in panel}
    steps = list(measured)
    bars = axes.errorbar(
        steps,
        [row.measured for row in measured.values()],
        yerr=[error_bar(row.measured_stderr) for row in measured.values()],
        fmt="o", color="black", markersize=4, capsize=2, label="measured", zorder=3,
    )  # fmt: skip
    titles = [
        cell_title(
            row.cell, f"T = {step}, measured {value_text(row.measured, row.measured_stderr)}"
        )
        for step, row in measured.items()
    ]
    set_titles(bars.lines[0], titles)
    timed = curve_laws(panel)
    for place, law in enumerate(timed, 1):
        rows = [row for row in panel if row.prediction == law.name]
        if len(steps) == 1:
            _at_one_time(axes, law, rows, steps[0] * _BESIDE**place)
        else:
            _timed(axes, law, rows)
    for law in level_laws(panel):
        _level(axes, law, [row for row in at_the_end(panel) if row.prediction == law.name])
    set_log(axes.xaxis)
    if len(steps) == 1:
        axes.set_xlim(steps[0] / _BESIDE**2, steps[0] * _BESIDE ** (len(timed) + 2))
    if len(steps) <= _MOST_STEPS:
        axes.set_xticks(steps, [str(step) for step in steps])
        axes.minorticks_off()
    if all(row.measured > 0 for row in panel):
        set_log(axes.yaxis)


def _at_one_time(axes: Axes, law: Law, rows: Sequence[LawRow], place: float) -> None:
    """Draw what a law says of the one window there is, beside what was measured in it."""
    for row in (row for row in rows if row.predicted > 0):
        bars = axes.errorbar(
            place, row.predicted, yerr=error_bar(row.predicted_stderr), fmt=law.marker,
            color=law.color, markersize=4, capsize=2, label=law.human_name, zorder=3,
        )  # fmt: skip
        set_titles(bars.lines[0], [law_title(row, law)])


def _timed(axes: Axes, law: Law, rows: Sequence[LawRow]) -> None:
    timed = [row for row in rows if row.predicted > 0]
    steps = [row.num_steps or 0 for row in timed]
    values = np.array([row.predicted for row in timed])
    spread = np.array([error_bar(row.predicted_stderr) for row in timed])
    (curve,) = axes.plot(
        steps, values, color=law.color, marker=law.marker, markersize=4, label=law.human_name
    )
    set_titles(curve, [law_title(row, law) for row in timed])
    axes.fill_between(
        steps, np.maximum(values - spread, values * 1e-3), values + spread,
        color=law.color, alpha=0.2, linewidth=0,
    )  # fmt: skip


def _level(axes: Axes, law: Law, rows: Sequence[LawRow]) -> None:
    for row in (row for row in rows if row.predicted > 0):
        level = axes.axhline(
            row.predicted, color=law.color, linestyle=law.dashes, label=law.human_name
        )
        set_titles(level, [law_title(row, law)])
        spread = error_bar(row.predicted_stderr)
        low = max(row.predicted - spread, row.predicted * 1e-3)
        axes.axhspan(low, row.predicted + spread, color=law.color, alpha=0.12, linewidth=0)


def _panel_label(row: LawRow, panels: Sequence[Sequence[LawRow]]) -> str:
    label = f"BS {row.cell.batch_size}, LR {row.cell.learning_rate:g}"
    firsts = [panel[0] for panel in panels]
    if row.learning_rate_used != row.cell.learning_rate:
        label += f", η {row.learning_rate_used:g}"
    if len({first.bn_mode for first in firsts}) > 1:
        label += f", BN {row.bn_mode}"
    if len({first.sampler for first in firsts}) > 1:
        label += f", {row.sampler}"
    return label
