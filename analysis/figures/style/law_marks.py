"""What the figures of laws share: titles of marks, error bars, and a legend over several panels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from analysis.figures.style.hover import cell_title
from analysis.findings.law_rows import LawRow
from analysis.laws.law import Law
from analysis.mathematics.interval import Interval
from analysis.mathematics.uncertain import Uncertain
from analysis.text.interval_text import ratio_text
from analysis.text.number_text import with_error


def law_title(row: LawRow, law: Law, beside: Interval | None = None) -> str:
    """Return the title of a mark of a law, with measured/predicted where it shows both."""
    steps = "" if row.num_steps is None else f"T = {row.num_steps}, "
    said = f"{steps}{law.human_name} predicts {value_text(row.predicted, row.predicted_stderr)}"
    if beside is None:
        return cell_title(row.cell, said)
    measured = value_text(row.measured, row.measured_stderr)
    return cell_title(row.cell, f"{said}, measured {measured}, ratio {ratio_text(beside)}")


def value_text(value: float, stderr: float) -> str:
    """Return a value with its standard error, NaN for an unknown one."""
    return with_error(Uncertain(value, stderr))


def error_bar(stderr: float) -> float:
    """Return the length of an error bar, 0 where the error is not known."""
    return stderr if math.isfinite(stderr) else 0.0


def labels_once(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """Return every label of all panels once, with its handle."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
