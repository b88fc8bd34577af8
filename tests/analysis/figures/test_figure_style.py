from __future__ import annotations

import pytest

from analysis.figures.figure_style import (
    cell_label,
    cell_styles,
    shared_ratios,
)
from analysis.laws.palette import BLUE, GREEN, SKY, VERMILLION
from analysis.records.cell import Cell

_PAPER = [Cell("kld", size, rate) for size in (100, 200, 500) for rate in (0.08, 0.2, 0.5)]


def test_the_papers_grid_has_the_papers_groups():
    """Equal BS/LR is blue (two values), the close 1250 green, the far ones vermillion."""
    colors = {
        (cell.batch_size, cell.learning_rate): style.color
        for cell, style in cell_styles(_PAPER).items()
    }
    assert {cell for cell, color in colors.items() if color == BLUE} == {(200, 0.2), (500, 0.5)}
    assert {cell for cell, color in colors.items() if color == SKY} == {(200, 0.08), (500, 0.2)}
    assert {cell for cell, color in colors.items() if color == GREEN} == {(100, 0.08)}
    assert {cell for cell, color in colors.items() if color == VERMILLION} == {
        (100, 0.2),
        (100, 0.5),
        (200, 0.5),
        (500, 0.08),
    }


@pytest.mark.parametrize("count", [4, 9, 25, 60])
def test_no_two_cells_have_one_style(count):
    """Colour, dashes and marker together name a cell, also in print without colour."""
    cells = [Cell("kld", 10 * (1 + place % 8), 0.01 * (1 + place // 8)) for place in range(count)]
    styles = cell_styles(cells).values()
    assert len({(style.color, style.dashes, style.marker) for style in styles}) == count


def test_without_a_shared_ratio_the_median_leads():
    """A small grid without equal ratios still has a blue cell."""
    cells = [Cell("kld", 100, 0.1), Cell("kld", 100, 0.2), Cell("kld", 100, 0.5)]
    assert shared_ratios(cells) == [500.0]
    assert cell_styles(cells)[cells[1]].color == BLUE


def test_ratios_equal_up_to_rounding_are_equal():
    """200/0.2 and 100/0.1 differ in the last bit or not at all, and are one group."""
    assert shared_ratios([Cell("kld", 30, 0.3), Cell("kld", 10, 0.1)]) != []
    assert cell_label(Cell("kld", 200, 0.2)) == "BS/LR 1000: BS 200, LR 0.2"
