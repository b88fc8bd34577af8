"""Figures of the laws: the loss that forks of SGD gain with time, and measured against predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.crowd import as_image, is_crowd
from analysis.figures.style.figure_style import WIDTH_INCHES, axis_label, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.findings.law_rows import LawRow, at_the_end
from analysis.findings.league import Standing
from analysis.laws.law import Law
from analysis.laws.palette import GREY
from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain
from analysis.predictions import laws
from analysis.text.interval_text import ratio_text
from analysis.text.number_text import with_error

MOST_PANELS = 12

_COLUMNS = 3
_MARGIN = 1.1
_LONGEST_LABEL = 46
"""Characters of a legend that takes half of the width."""

_MOST_STEPS = 6
"""Of a fork that are all labelled."""


def fork_figure(rows: Sequence[LawRow]) -> Figure | None:
    """Draw the excess loss of forks against the number of steps, a panel for each excursion.

    Points with one standard error; laws that speak of every window, for the sampler of the excursion,
    as lines with a band of one; what laws with `dashes` say of the stationary state as horizontal lines.
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
        *_legend(list(grid.flat)), loc="outside upper center", ncols=3 if num_columns > 1 else 2
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


def parity_figure(rows: Sequence[LawRow], standings: Sequence[Standing] = ()) -> Figure | None:
    """Draw measured against predicted, a panel per quantity and a mark per law and cell.

    Legends say by what factor each law is off, as the league finds.

    Args:
        rows: Of the view `predictions`.
        standings: Of the league, at most one a law and quantity.
    """
    last = [row for row in at_the_end(rows) if row.has_ratio]
    targets = [
        target
        for target in ("excess_loss", "expected_gradient_norm_squared")
        if any(row.target == target for row in last)
    ]
    if not targets:
        return None
    labels = {target: _labels(target, standings) for target in targets}
    drawn = {(row.target, row.prediction) for row in last}
    num_lines = [
        sum(1 + labels[target][law].count("\n") for of, law in drawn if of == target)
        for target in targets
    ]
    height = (4.0 if len(targets) > 1 else 4.8) + 0.17 * (max(num_lines) + 2)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    for axes, target in zip(panels, targets, strict=True):
        _parity(axes, [row for row in last if row.target == target], labels[target])
        axes.set_xlabel(f"predicted {axis_label(target)}")
        axes.set_ylabel(f"measured {axis_label(target)}")
    title = "measured / predicted, with 95 % interval" if standings else None
    first, *others = panels
    figure.legend(*_legend([first]), loc="outside lower left", fontsize=8, title=title)
    for axes in others:
        figure.legend(*_legend([axes]), loc="outside lower right", fontsize=8, title=title)
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


def _title(row: LawRow, law: Law, beside: Interval | None = None) -> str:
    """Return the title of a mark of a law, with measured/predicted where it shows both."""
    steps = "" if row.num_steps is None else f"T = {row.num_steps}, "
    said = f"{steps}{law.human_name} predicts {_text(row.predicted, row.predicted_stderr)}"
    if beside is None:
        return cell_title(row.cell, said)
    measured = _text(row.measured, row.measured_stderr)
    return cell_title(row.cell, f"{said}, measured {measured}, ratio {ratio_text(beside)}")


def _text(value: float, stderr: float) -> str:
    return with_error(Uncertain(value, stderr))


def _curve(axes: Axes, panel: Sequence[LawRow]) -> None:
    measured = {row.num_steps or 0: row for row in panel}
    steps = list(measured)
    bars = axes.errorbar(
        steps,
        [row.measured for row in measured.values()],
        yerr=[_bar(row.measured_stderr) for row in measured.values()],
        fmt="o", color="black", markersize=4, capsize=2, label="measured", zorder=3,
    )  # fmt: skip
    titles = [
        cell_title(row.cell, f"T = {step}, measured {_text(row.measured, row.measured_stderr)}")
        for step, row in measured.items()
    ]
    set_titles(bars.lines[0], titles)
    for law in curve_laws(panel):
        _timed(axes, law, [row for row in panel if row.prediction == law.name])
    for law in level_laws(panel):
        _level(axes, law, [row for row in at_the_end(panel) if row.prediction == law.name])
    set_log(axes.xaxis)
    if len(steps) <= _MOST_STEPS:
        axes.set_xticks(steps, [str(step) for step in steps])
        axes.minorticks_off()
    if all(row.measured > 0 for row in panel):
        set_log(axes.yaxis)


def _timed(axes: Axes, law: Law, rows: Sequence[LawRow]) -> None:
    timed = [row for row in rows if row.predicted > 0]
    steps = [row.num_steps or 0 for row in timed]
    values = np.array([row.predicted for row in timed])
    spread = np.array([_bar(row.predicted_stderr) for row in timed])
    # the mark shows a prediction at one time alone
    (curve,) = axes.plot(
        steps, values, color=law.color, marker=law.marker, markersize=4, label=law.human_name
    )
    set_titles(curve, [_title(row, law) for row in timed])
    axes.fill_between(
        steps, np.maximum(values - spread, values * 1e-3), values + spread,
        color=law.color, alpha=0.2, linewidth=0,
    )  # fmt: skip


def _level(axes: Axes, law: Law, rows: Sequence[LawRow]) -> None:
    for row in (row for row in rows if row.predicted > 0):
        level = axes.axhline(
            row.predicted, color=law.color, linestyle=law.dashes, label=law.human_name
        )
        set_titles(level, [_title(row, law)])
        spread = _bar(row.predicted_stderr)
        low = max(row.predicted - spread, row.predicted * 1e-3)
        axes.axhspan(low, row.predicted + spread, color=law.color, alpha=0.12, linewidth=0)


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
        axes.plot([], [], "o", color=GREY, markerfacecolor="white", label=label)
    axes.fill_between(ends, ends / _MARGIN, ends * _MARGIN, color=GREY, alpha=0.25, linewidth=0)
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
            markerfacecolor=law.color if row.is_valid else "white", label=label,
        )  # fmt: skip
        set_titles(bars.lines[0], [_title(row, law, beside=row.log_ratio)])


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


def _bar(stderr: float) -> float:
    return stderr if math.isfinite(stderr) else 0.0


def _log_bar(value: float, stderr: float) -> list[list[float]]:
    """Return an error bar that does not reach 0, which a logarithmic axis cannot show."""
    return [[min(_bar(stderr), value * 0.999)], [_bar(stderr)]]


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


def _legend(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """Return every label of all panels once, with its handle."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
