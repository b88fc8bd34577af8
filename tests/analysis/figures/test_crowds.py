"""Figures of more cells than small multiples hold: what is drawn does not grow with their number."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection, PathCollection

from analysis.figures import layers_figure as layers_module
from analysis.figures.layers_figure import layers_figure
from analysis.figures.learning_curves import learning_curves
from analysis.figures.parity_figure import parity_figure
from analysis.figures.style.crowd import crowd_said
from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.trace_figures import ratio_figure, traces_figure
from analysis.findings.law_rows import law_rows
from analysis.records.cell import Cell

_MOST_ELEMENTS = 800
"""Of an SVG with all its axes, ticks and texts; 61 cells apart were several thousand."""


def _cells(count):
    return [Cell("kld", 16 + place % 20, 0.01 * (1 + place // 20)) for place in range(count)]


@pytest.fixture
def figure_of(monkeypatch, prediction, predictions_table, table_of, curves_of):
    def build(name, count):
        cells = _cells(count)
        if name == "learning_curves":
            return learning_curves(curves_of(cells))
        if name == "layers":
            means = {cell: {"conv": 0.01 * (1 + i), "dense": 0.02} for i, cell in enumerate(cells)}
            monkeypatch.setattr(layers_module, "layer_means", lambda *_: means)
            return layers_figure(SimpleNamespace(cells=cells))
        if name == "parity":
            rows = [
                prediction(1.1, prediction=law, batch_size=cell.batch_size, learning_rate=cell.learning_rate)
                for cell in cells for law in ("wang_4_45", "jastrzebski_9")
            ]  # fmt: skip
            return parity_figure(law_rows(predictions_table(rows).to_pandas()))
        return {"traces": traces_figure, "trace_ratio": ratio_figure}[name](table_of(cells))

    return build


def _num_elements(figure):
    file = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(file)
    return len(re.findall(r"<[a-z]", file.getvalue().decode()))


def _num_artists(figure):
    return sum(len(axes.get_children()) for axes in figure.axes)


@pytest.mark.parametrize("name", ["learning_curves", "traces", "trace_ratio", "layers", "parity"])
def test_what_is_drawn_does_not_grow_with_the_cells(name, figure_of):
    """61, 200 and 500 cells: equally many artists, and a bounded number of elements in the SVG."""
    with drawing_settings():
        figures = [figure_of(name, count) for count in (61, 200, 500)]
        assert len({_num_artists(figure) for figure in figures}) == 1
        assert all(_num_elements(figure) < _MOST_ELEMENTS for figure in figures)


def test_a_crowd_of_curves_holds_every_curve(curves_of):
    """A line for each of 61 cells in each panel, in the order of the cells, coloured by BS/LR."""
    cells = _cells(61)
    with drawing_settings():
        figure = learning_curves(curves_of(cells))
    for axes in figure.axes[:4]:
        (lines,) = [each for each in axes.collections if isinstance(each, LineCollection)]
        firsts = sorted(segment[0, 1] for segment in lines.get_segments())
        np.testing.assert_allclose(firsts, np.arange(1.0, 62.0))
        assert len({tuple(color) for color in lines.get_colors()}) > 50


def test_curves_of_one_epoch_are_marks(curves_of):
    """A line of one point is not seen."""
    with drawing_settings():
        figure = learning_curves(curves_of(_cells(61), num_epochs=1))
    for axes in figure.axes[:4]:
        (marks,) = [each for each in axes.collections if isinstance(each, PathCollection)]
        assert len(marks.get_offsets()) == 61


def test_a_crowd_of_ratios_holds_every_ratio(table_of):
    """61 points against each of three abscissas."""
    cells = _cells(61)
    with drawing_settings():
        figure = ratio_figure(table_of(cells))
    for axes, abscissa in zip(
        figure.axes[:3],
        (lambda c: c.batch_size_over_learning_rate, lambda c: c.learning_rate, lambda c: c.batch_size),
        strict=True,
    ):  # fmt: skip
        (marks,) = [each for each in axes.collections if isinstance(each, PathCollection)]
        expected = [(abscissa(cell), (10.0 + place) / 40) for place, cell in enumerate(cells)]
        np.testing.assert_allclose(marks.get_offsets(), expected)


def test_the_caption_of_a_crowd_says_so():
    """61 cells are one; 60 are not."""
    assert "drawn together" in crowd_said(_cells(61))
    assert crowd_said(_cells(60)) == ""
