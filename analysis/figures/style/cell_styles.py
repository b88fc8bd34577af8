"""How cells are told apart: together by colour and marker, and in small multiples where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes

from analysis.laws.palette import CELL_COLORS
from analysis.records.cell import Cell, by_ratio, ratio_places, ratio_texts

MOST_TOGETHER = 12
"""Cells in one panel, where a colour for each BS/LR and a marker for each LR tell them apart."""

MOST_STYLES = len(CELL_COLORS)
"""Cells in one panel of small multiples."""

CELL_COLORS_SAID = (
    "Colours stand for BS/LR, from violet (small) over green to pink (large), marks for LR; of more "
    f"than {MOST_TOGETHER} cells each panel holds those of one or a few BS or LR, with a legend of its own"
)

_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class CellStyle:
    """The colour, dashes, marker and legend label of a cell; in a panel no two cells look alike."""

    color: str
    dashes: str
    marker: str
    label: str


@dataclass(frozen=True)
class CellPanel:
    """The cells of one panel, in the order of BS/LR.

    Attributes:
        title: What they have in common; empty where a panel holds all.
        styles: How each is drawn.
    """

    title: str
    styles: dict[Cell, CellStyle]


def cell_panels(
    cells: Iterable[Cell], drawn: Iterable[Cell] | None = None, *, by_color: bool = False
) -> list[CellPanel]:
    """Arrange cells in panels within which they can be told apart.

    Up to twelve cells with at most eight values of BS/LR and of LR are together: colour by BS/LR, marker
    and dashes by LR. More are in small multiples of at most eight, each of one or a few BS or LR, with a
    colour and a marker for each place in the order of BS/LR.

    Args:
        cells: All of a sweep, each once, so that one looks alike in all figures.
        drawn: Those that a figure has values of; without them, all. Panels hold no others, and none is empty.
        by_color: Whether colour alone must tell the cells of a panel apart.
    """
    panels = _panels(by_ratio(cells), by_color=by_color)
    if drawn is None:
        return panels
    shown = set(drawn)
    kept = [
        CellPanel(
            panel.title, {cell: style for cell, style in panel.styles.items() if cell in shown}
        )
        for panel in panels
    ]
    return [panel for panel in kept if panel.styles]


def cell_styles(cells: Iterable[Cell]) -> dict[Cell, CellStyle]:
    """Return the style of every cell, as in its panel."""
    return {cell: style for panel in cell_panels(cells) for cell, style in panel.styles.items()}


def cell_label(cell: Cell, ratio: str) -> str:
    """Return the label of a cell in a legend, with its BS/LR as text."""
    return f"BS/LR {ratio}: BS {cell.batch_size}, LR {cell.learning_rate:g}"


def legend_beside(axes: Axes) -> None:
    """Put a panel's legend to its right."""
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, borderpad=0, handlelength=1.5,
    )  # fmt: skip


def _panels(ordered: Sequence[Cell], *, by_color: bool) -> list[CellPanel]:
    together = _together(ordered)
    if not together:
        return [_multiple(group) for group in _packed(ordered, {cell: cell for cell in ordered})]
    if not by_color:
        return [CellPanel("", together)]
    groups = _packed(ordered, {cell: style.color for cell, style in together.items()})
    return [
        CellPanel("" if len(groups) == 1 else _title(group), {c: together[c] for c in group})
        for group in groups
    ]


def _together(ordered: Sequence[Cell]) -> dict[Cell, CellStyle]:
    """Return the styles of cells in one panel; none where they are too many for one."""
    places, texts = ratio_places(ordered), ratio_texts(ordered)
    num_ratios = max(places.values(), default=-1) + 1
    rates = sorted({cell.learning_rate for cell in ordered})
    if len(ordered) > MOST_TOGETHER or max(num_ratios, len(rates)) > MOST_STYLES:
        return {}
    styles = {}
    for cell in ordered:
        mark = rates.index(cell.learning_rate)
        color, label = _color(places[cell], num_ratios), cell_label(cell, texts[cell])
        styles[cell] = CellStyle(color, _DASHES[mark % 4], _MARKERS[mark], label)
    return styles


def _multiple(cells: Sequence[Cell]) -> CellPanel:
    has_one_size = len({cell.batch_size for cell in cells}) == 1
    has_one_rate = len({cell.learning_rate for cell in cells}) == 1
    styles = {
        cell: CellStyle(
            _color(place, len(cells)),
            _DASHES[place % 4],
            _MARKERS[place],
            _short_label(cell, has_one_size=has_one_size, has_one_rate=has_one_rate),
        )
        for place, cell in enumerate(cells)
    }
    return CellPanel(_title(cells), styles)


def _short_label(cell: Cell, *, has_one_size: bool, has_one_rate: bool) -> str:
    """Return what a panel's title does not say of a cell."""
    if has_one_size:
        return f"LR {cell.learning_rate:g}"
    return f"BS {cell.batch_size}" + ("" if has_one_rate else f", LR {cell.learning_rate:g}")


def _packed(ordered: Sequence[Cell], looks: Mapping[Cell, object]) -> list[list[Cell]]:
    """Gather cells of one BS, or of one LR where that makes fewer panels; no two in a panel look alike."""
    by_size = _gathered(ordered, looks, lambda cell: cell.batch_size)
    by_rate = _gathered(ordered, looks, lambda cell: cell.learning_rate)
    return min(by_size, by_rate, key=len)


def _gathered(
    ordered: Sequence[Cell], looks: Mapping[Cell, object], key: Callable[[Cell], float]
) -> list[list[Cell]]:
    """Gather the cells of each BS or LR, and of several while they are few and no two look alike."""
    panels: list[list[Cell]] = []
    for group in _split(ordered, key):
        last = panels[-1] if panels else []
        both = [*last, *group]
        fits = len(both) <= MOST_STYLES and len({looks[cell] for cell in both}) == len(both)
        if last and fits:
            panels[-1] = both
        else:
            panels.append(group)
    return [by_ratio(panel) for panel in panels]


def _split(ordered: Sequence[Cell], key: Callable[[Cell], float]) -> list[list[Cell]]:
    """Split cells by BS or LR, and those of one into equal parts of at most eight."""
    parts = []
    for _, cells in groupby(sorted(ordered, key=lambda cell: (key(cell), cell)), key=key):
        group = list(cells)
        num_parts = -(-len(group) // MOST_STYLES)
        size = -(-len(group) // num_parts)
        parts += [group[start : start + size] for start in range(0, len(group), size)]
    return parts


def _title(cells: Sequence[Cell]) -> str:
    rates = sorted({cell.learning_rate for cell in cells})
    sizes = sorted({cell.batch_size for cell in cells})
    return f"BS {_span(sizes)}, LR {_span(rates)}"


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _color(place: int, count: int) -> str:
    """Return a colour for a place among so many, spread over all colours."""
    return CELL_COLORS[round(place * (MOST_STYLES - 1) / max(count - 1, 1))]
