from __future__ import annotations

import pytest

from analysis.figures.style.cell_styles import MOST_STYLES, cell_label, cell_panels
from analysis.records.cell import Cell, by_ratio

_PAPER = [Cell("kld", size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)]
_SCATTERED = [Cell("kld", 10 + 7 * place, 0.01 + 0.003 * place) for place in range(60)]


def _grid(num_sizes, num_rates):
    return [
        Cell("kld", 16 * 2**size, 0.01 * 2**rate)
        for size in range(num_sizes) for rate in range(num_rates)
    ]  # fmt: skip


def test_the_papers_cells_stand_together():
    """One panel; equal BS/LR have one colour, equal LR one marker: 7 colours and 3 markers."""
    (panel,) = cell_panels(_PAPER)
    assert panel.title == ""
    assert list(panel.styles) == by_ratio(_PAPER)
    for one, its in panel.styles.items():
        for other, of_other in panel.styles.items():
            is_one_ratio = one.batch_size * other.learning_rate == pytest.approx(
                other.batch_size * one.learning_rate
            )
            assert (its.color == of_other.color) == is_one_ratio
            assert (its.marker == of_other.marker) == (one.learning_rate == other.learning_rate)


@pytest.mark.parametrize("cells", [_PAPER, _grid(5, 5)], ids=["together", "multiples"])
@pytest.mark.parametrize("by_color", [False, True])
def test_a_cell_looks_alike_whichever_others_have_values(cells, by_color):
    """Of an unfinished sweep one figure had a cell in green, another in pink, a third in violet."""
    whole = {c: look for panel in cell_panels(cells, by_color=by_color) for c, look in panel.styles.items()}  # fmt: skip
    drawn = [cells[0], cells[-1], cells[4]]
    panels = cell_panels(cells, drawn, by_color=by_color)
    found = {cell: look for panel in panels for cell, look in panel.styles.items()}
    assert found == {cell: whole[cell] for cell in drawn}
    assert all(panel.styles for panel in panels)
    assert cell_panels(cells, [], by_color=by_color) == []


@pytest.mark.parametrize(
    "cells",
    [
        _grid(2, 2),
        _PAPER,
        _grid(5, 5),
        _grid(10, 6),
        _grid(6, 10),
        _grid(60, 1),
        _grid(1, 60),
        _SCATTERED,
    ],
    ids=["4", "9", "25", "10x6", "6x10", "60x1", "1x60", "scattered"],
)
@pytest.mark.parametrize("by_color", [False, True])
def test_every_cell_can_be_told_from_every_other(cells, by_color):
    """Each in one panel; there by colour and marker, or by colour alone; 25 cells had 21 styles."""
    panels = cell_panels(cells, by_color=by_color)
    assert sorted(cell for panel in panels for cell in panel.styles) == sorted(cells)
    for panel in panels:
        looks = {(style.color, "" if by_color else style.marker) for style in panel.styles.values()}
        assert len(looks) == len(panel.styles)
        assert len({style.label for style in panel.styles.values()}) == len(panel.styles)
        assert list(panel.styles) == by_ratio(panel.styles)
    if len(panels) > 1:
        assert max(len(panel.styles) for panel in panels) <= MOST_STYLES
        assert len({panel.title for panel in panels}) == len(panels)
        assert len(panels) <= 10


def test_panels_hold_the_side_of_the_grid_that_makes_fewest():
    """Ten BS × six LR: a panel a BS; the other way round each of ten LR would need two of eight BS."""
    titles = [panel.title for panel in cell_panels(_grid(10, 6))]
    assert (len(titles), titles[0]) == (10, "BS 16, LR 0.01 to 0.32")
    first = next(iter(cell_panels(_grid(10, 6))[0].styles.values()))
    assert first.label == "LR 0.32"
    titles = [panel.title for panel in cell_panels(_grid(6, 10))]
    assert (len(titles), titles[0]) == (10, "BS 16 to 512, LR 0.01")


def test_ratios_equal_up_to_rounding_are_equal():
    """100/0.2 and 350/0.7 differ in the last bit, and are one colour."""
    cells = [Cell("kld", 100, 0.2), Cell("kld", 350, 0.7)]
    assert len({cell.batch_size_over_learning_rate for cell in cells}) == 2
    (panel,) = cell_panels(cells)
    assert len({style.color for style in panel.styles.values()}) == 1
    assert cell_label(Cell("kld", 200, 0.2), "1000") == "BS/LR 1000: BS 200, LR 0.2"
