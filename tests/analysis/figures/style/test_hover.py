"""Titles of marks in a saved SVG: as many as marks, each with the value."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.style.hover import set_titles, value_title, with_titles
from analysis.figures.sweep_figures import SWEEP_FIGURES, draw_all
from analysis.findings.table1 import build_table1
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.records.load import load_sweep
from analysis.report.web.inline_svg import inline_svg

_SVG = "{http://www.w3.org/2000/svg}"


def _saved(draw):
    """Save a figure of one panel, and parse what `with_titles` makes of it."""
    with drawing_settings():
        figure = Figure()
        draw(figure.subplots())
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file)
    return ET.fromstring(with_titles(file.getvalue().decode()))  # noqa: S314 - our own file


def _titles(root):
    return [title.text for title in root.iter(f"{_SVG}title")]


def test_every_mark_has_its_own_title():
    """In the order in which they are drawn, whatever they hold; other marks have none."""
    titles = ["a < b & c", 'the "second"', "tr σ² 3"]

    def draw(axes):
        set_titles(axes.plot([1, 2, 3], [3, 1, 2], "o")[0], titles)
        axes.plot([1, 2], [1, 2], "s")

    root = _saved(draw)
    marks = [use for use in root.iter(f"{_SVG}use") if use.find(f"{_SVG}title") is not None]
    assert [use.find(f"{_SVG}title").text for use in marks] == titles == _titles(root)
    assert [float(use.get("x")) for use in marks] == sorted(float(use.get("x")) for use in marks)


def test_an_artist_of_one_title_has_it_as_a_whole():
    """A text, a curve, a single point: the first element of its group, as SVG wants it."""
    root = _saved(lambda axes: set_titles(axes.text(0.5, 0.5, "1.4"), ["tr H 1.4"]))
    (group,) = [each for each in root.iter(f"{_SVG}g") if each.find(f"{_SVG}title") is not None]
    assert (group[0].tag, group[0].text) == (f"{_SVG}title", "tr H 1.4")


def test_marks_outside_the_axes_take_no_others_title():
    """One of three is drawn, the others are beyond the figure: rather none than a wrong one."""

    def draw(axes):
        set_titles(axes.plot([1, 2, 3], [1, 2, 3], "o")[0], ["one", "two", "three"])
        axes.set_xlim(2.9, 3.1)

    assert _titles(_saved(draw)) == []


def test_figures_have_a_title_for_every_mark(store, synthetic_sweep):
    """Of two cells, one of them the paper's too: both traces, three panels of ratios, two layers, three epochs."""
    synthetic_sweep().fill()
    data = load_sweep(store, "toy")
    table = build_table1(data)
    numbers = {}
    for figure in draw_all(SWEEP_FIGURES, data, table):
        page = ET.fromstring(inline_svg(figure.svg, "f", figure.title))  # noqa: S314 - our own
        found = _titles(page)
        assert all(text.startswith("batch size ") for text in found)
        assert len(found) == len(set(found)) * (3 if figure.name == "trace_ratio" else 1)
        numbers[figure.name] = len(found)
    assert numbers == {"traces": 4 + 2, "trace_ratio": 6 + 3, "layers": 8, "learning_curves": 24}
    (row, _) = table.rows
    text = value_title(row.cell, "tr σ² / tr H", row.magnitude_difference)
    (ratio,) = [
        figure.svg
        for figure in draw_all(SWEEP_FIGURES, data, table)
        if figure.name == "trace_ratio"
    ]
    assert f"<title>{text}</title>" in ratio


def test_a_title_says_the_cell_and_the_value_with_its_error():
    """As it is said, not as it is coded."""
    cell = Cell("kld", 128, 0.1)
    assert value_title(cell, "tr H", Uncertain(1.381, 0.052)) == (
        "batch size 128, learning rate 0.1: tr H 1.381 ± 0.052"
    )
