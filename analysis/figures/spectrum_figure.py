"""Density of states and noise-weighted spectrum of cells, as small multiples under what they say in numbers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style.cell_styles import CellStyle
from analysis.figures.style.figure_style import WIDTH_INCHES, panel_title, set_log
from analysis.figures.style.hover import cell_title, set_titles
from analysis.findings.measured import STABILITY_LIMIT
from analysis.findings.spectral_density import NoiseMedian, SpectralDensity
from analysis.laws.palette import CURVATURE, GREY, NOISE
from analysis.mathematics.evenly_chosen import evenly_chosen
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell, by_ratio
from analysis.text.number_text import plain

MOST_PANELS = 9
DECADES = 7
"""Shown below the highest density: beyond, a curve is the tail of the broadening."""

_COLUMNS = 3
_HEADROOM = 3.5
"""Decades above the highest density, in which numbers stand clear of the curves."""

_TITLE_SIZE, _TITLE_CHARACTERS = 9, 13
"""Of the figure: points, and characters an inch."""

_KINDS = (
    ("hessian", CURVATURE, "-", "share of all directions (density of states of H)"),
    ("noise", NOISE, "--", "share of the gradient noise tr σ² (noise-weighted)"),
)
_MEDIAN = "noise-weighted median λ, marked as its cell"
_LIMIT = "limit of stability 2(1+μ)/η, final η"
_HALF = 0.55
"""The largest share that is called a half."""


def chosen_densities(densities: Sequence[SpectralDensity]) -> list[SpectralDensity]:
    """Choose at most nine cells, evenly in the order of BS/LR, first and last included."""
    by_cell = {density.cell: density for density in densities}
    return evenly_chosen([by_cell[cell] for cell in by_ratio(by_cell)], MOST_PANELS)


def spectra_message(densities: Sequence[SpectralDensity]) -> str:
    """Return in a line what the spectra of all cells say; nothing where none is of the noise."""
    medians = _medians(densities)
    if not medians:
        return ""
    by_cell = ", by cell" if len(medians) > 1 else ""
    parts = [f"{_half(medians)} of tr σ² lies at λ ≥ {_cuts(medians)}{by_cell}"]
    shares = [
        f"{_percent(known)} {of}"
        for known, of in zip(_known(medians), ("of directions", "of tr H"), strict=True)
        if known
    ]
    return ": ".join([*parts, ", ".join(shares)] if shares else parts)


def spectra_sentence(densities: Sequence[SpectralDensity]) -> str:
    """Return the same in words, with the errors; nothing where no spectrum is of the noise."""
    medians = _medians(densities)
    if not medians:
        return ""
    by_cell = " by cell" if len(medians) > 1 else ""
    directions, curvature = _known(medians)
    held = f" and hold {_percent(curvature)} of tr H" if curvature else ""
    which = f", which are {_percent(directions)} of all directions{held}" if directions else ""
    errors = [
        f"{plain(100 * max(found), 2)} % {of}"
        for known, of in ((directions, "of directions"), (curvature, "of tr H"))
        if (found := [each.stderr for each in known if math.isfinite(each.stderr)])
    ]
    beyond = any(each.value > 1 for each in curvature)
    sentences = (
        f"{_half(medians)} of the gradient noise lies along directions "
        f"of curvature at or above its median λ, {_cuts(medians)}{by_cell}{which}.",
        f"One standard error over start vectors and seeds is at most {' and '.join(errors)}." if errors else "",
        "More than 100 % of tr H: negative curvature takes the rest away." if beyond else "",
    )  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def spectrum_figure(
    densities: Sequence[SpectralDensity],
    final_rates: Mapping[Cell, float],
    momentum: float,
    marks: Mapping[Cell, str],
    styles: Mapping[Cell, CellStyle],
) -> Figure | None:
    """Draw both spectra of each cell over λ, cut at the median of the noise, and where λ = 2(1+μ)/η if within.

    Args:
        densities: Of all cells.
        final_rates: η of that limit.
        momentum: μ.
        marks: Behind the names of cells.
        styles: Of cells as other figures draw them; without one a cell's median is grey.
    """
    shown = chosen_densities(densities)
    if not shown:
        return None
    num_columns = 2 if len(shown) == 4 else min(_COLUMNS, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    width = WIDTH_INCHES if num_columns > 1 else WIDTH_INCHES * 0.75
    figure = Figure(figsize=(width, 1.3 + 2.3 * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, density in zip(grid.flat, shown, strict=False):
        cell = density.cell
        _panel(axes, density, STABILITY_LIMIT * (1 + momentum) / final_rates[cell])
        if density.median is not None:
            _cut(axes, density, density.median, styles.get(cell))
        title = f"BS {cell.batch_size}, LR {cell.learning_rate:g}{marks.get(cell, '')}"
        panel_title(axes, title, width / num_columns - 0.5)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("share per unit of λ\n(parameter²/loss)")
    for place, axes in enumerate(grid.flat):
        if len(shown) - num_columns <= place < len(shown):
            axes.set_xlabel("curvature λ\n(loss/parameter²)")
    message = spectra_message(densities).replace(" %", "\N{NO-BREAK SPACE}%")
    figure.suptitle(textwrap.fill(message, int(width * _TITLE_CHARACTERS)), fontsize=_TITLE_SIZE)
    figure.legend(*_legend(list(grid.flat[: len(shown)])), loc="outside lower center", ncols=min(2, num_columns))  # fmt: skip
    return figure


def _panel(axes: Axes, density: SpectralDensity, limit: float) -> None:
    highest = max(float(curve.max()) for curve in density.by_kind.values())
    for kind, color, dashes, label in _KINDS:
        if kind in density.by_kind:
            curve = density.by_kind[kind]
            (drawn,) = axes.plot(
                density.eigenvalues, curve, color=color, linestyle=dashes, label=label
            )
            set_titles(drawn, [cell_title(density.cell, label)])
    axes.set_ylim(highest * 10.0**-DECADES, highest * 10.0**_HEADROOM)
    set_log(axes.yaxis)
    axes.minorticks_off()
    if limit <= density.eigenvalues[-1]:
        axes.axvline(limit, color=GREY, linestyle=":", label=_LIMIT)


def _cut(
    axes: Axes, density: SpectralDensity, median: NoiseMedian, style: CellStyle | None
) -> None:
    """Mark the median of the noise on its curve, and write what lies at it or above."""
    color, marker = (style.color, style.marker) if style else (GREY, "o")
    height = float(np.interp(median.eigenvalue, density.eigenvalues, density.by_kind["noise"]))
    axes.vlines(median.eigenvalue, axes.get_ylim()[0], height, color=GREY, linewidth=0.8)
    (mark,) = axes.plot(median.eigenvalue, height, marker, color=color, markersize=6)
    axes.plot([], [], "o", color=GREY, label=_MEDIAN)
    shares = [
        f"{_percent([share])} {of}"
        for share, of in (
            (median.noise, "of tr σ²"),
            (median.directions, "of directions"),
            (median.curvature, "of tr H"),
        )
        if math.isfinite(share.value)
    ]
    cut = f"λ ≥ {plain(median.eigenvalue, 2)}"
    set_titles(mark, [cell_title(density.cell, f"{cut}: {', '.join(shares)}")])
    axes.text(
        0.98, 0.98, "\n".join([f"{cut}:", *shares]), transform=axes.transAxes, ha="right", va="top",
        fontsize=7, linespacing=1.1,
    )  # fmt: skip


def _medians(densities: Sequence[SpectralDensity]) -> list[NoiseMedian]:
    return [each.median for each in densities if each.median is not None]


def _known(medians: Sequence[NoiseMedian]) -> tuple[list[Uncertain], list[Uncertain]]:
    """Return the shares of directions and of tr H that are known."""
    directions, curvature = (
        [share for share in shares if math.isfinite(share.value)]
        for shares in zip(*((each.directions, each.curvature) for each in medians), strict=True)
    )
    return directions, curvature


def _half(medians: Sequence[NoiseMedian]) -> str:
    """Return what share of tr σ² lies at the median or above, in a word where it is a half."""
    shares = [each.noise for each in medians]
    return "Half" if all(share.value <= _HALF for share in shares) else _percent(shares)


def _cuts(medians: Sequence[NoiseMedian]) -> str:
    return _span([each.eigenvalue for each in medians])


def _percent(shares: Sequence[Uncertain]) -> str:
    return f"{_span([100 * share.value for share in shares])} %"


def _span(values: Sequence[float]) -> str:
    low, high = plain(min(values), 2), plain(max(values), 2)
    return low if low == high else f"{low} to {high}"


def _legend(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    found = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    return list(found.values()), list(found)
