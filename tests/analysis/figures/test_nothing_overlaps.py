"""Every figure of a full report: no text lies on another, and none leaves the canvas."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest
from matplotlib.text import Text

from analysis.aggregation.aggregate import aggregate_records
from analysis.figures.fork_figure import fork_figure
from analysis.figures.measured_figures import MEASURED_FIGURES, MeasuredFindings
from analysis.figures.parity_figure import parity_figure
from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.sweep_figures import SWEEP_FIGURES, build_all
from analysis.findings.law_rows import law_rows
from analysis.findings.league import league
from analysis.findings.measured import measured_cells
from analysis.findings.spectral_density import spectral_densities
from analysis.findings.table1 import build_table1
from analysis.predictions import laws
from analysis.records.load import load_sweep
from analysis.report.law_section import LAW_FIGURES, one_a_law
from analysis.report.report import laws_of
from workers.contract.store import Store

pytestmark = pytest.mark.slow

_TOUCHING = 0.5
"""Pixels, at 100 an inch, by which boxes may share an edge: they hold the space of accents and descents."""

_GRIDS = {"9": (3, 3), "60": (10, 6)}
_PAIRS = {
    name: [(16 * 2**i, 0.01 * 2**j) for i in range(sizes) for j in range(rates)]
    for name, (sizes, rates) in _GRIDS.items()
} | {
    "one": [(50, 0.1)],
    "rates of many digits": [(128, round(0.0123 * 1.37**j, 6)) for j in range(12)],
    "24 of many digits": [(int(100 * 1.21**i), round(0.0123 * 1.37**j, 5)) for i in range(4) for j in range(6)],
}  # fmt: skip
_FIGURES = {"sweep": SWEEP_FIGURES, "laws": LAW_FIGURES, "measured": MEASURED_FIGURES}


@pytest.fixture(scope="module")
def figures_of(tmp_path_factory, forked_sweep_in):
    """Build the figures of one kind of a sweep whose every statistic is measured."""

    @cache
    def findings(name):
        store = Store.open(str(tmp_path_factory.mktemp("store")))
        forked_sweep_in(
            store, pairs=_PAIRS[name], seeds=[0, 1], power=1.5, strength=0.01, scatter=0.03
        ).fill()
        data = load_sweep(store, "toy")
        derived, table = aggregate_records(data), build_table1(data)
        measured = measured_cells(data, derived.cell_measurements.to_pandas())
        return {
            "sweep": (data, table),
            "laws": (laws_of(data, table, derived),),
            "measured": (MeasuredFindings(measured, spectral_densities(data)),),
        }

    return lambda name, kind: build_all(_FIGURES[kind], *findings(name)[kind])


@pytest.fixture
def faults_of(monkeypatch):
    """Draw a figure, and list the texts that leave it or lie on another."""
    boxes, draw = [], Text.draw

    def recorded(text, renderer):
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer)

    def look(figure):
        boxes.clear()
        with drawing_settings():
            figure.draw_without_rendering()
        assert len(boxes) > 5
        canvas = figure.bbox.padded(_TOUCHING)
        outside = [
            text for text, box in boxes
            if box.x0 < canvas.x0 or box.y0 < canvas.y0 or box.x1 > canvas.x1 or box.y1 > canvas.y1
        ]  # fmt: skip
        overlapping = [
            (text, below)
            for (text, one), (below, other) in combinations(boxes, 2)
            if min(one.x1, other.x1) - max(one.x0, other.x0) > _TOUCHING
            and min(one.y1, other.y1) - max(one.y0, other.y0) > _TOUCHING
        ]
        return outside + overlapping

    monkeypatch.setattr(Text, "draw", recorded)
    return look


@pytest.mark.parametrize("kind", list(_FIGURES))
@pytest.mark.parametrize("name", list(_PAIRS))
def test_no_text_overlaps_or_leaves_the_canvas(name, kind, figures_of, faults_of):
    """Of 9 and 60 cells, of one, and of learning rates with six digits.

    The legend of a single fork ran out of both sides; titles and names of cells with long rates lay on each other.
    """
    figures = figures_of(name, kind)
    assert {key: faults_of(figure) for key, figure in figures.items()} == {
        key: [] for key in figures
    }
    assert len(figures) == {"sweep": 4, "laws": 3, "measured": 2}[kind] - (
        kind == "measured" and name in ("one", "rates of many digits")  # no map of them
    )


@pytest.mark.parametrize("num_cells", [1, 4])
@pytest.mark.parametrize("ratio", [0.31, 3.17e-4])
def test_every_law_measured_in_every_way_has_room(
    num_cells, ratio, prediction, predictions_table, faults_of
):
    """By forks and tails, with both samplers, in both modes of batch norm: the legend named eight factors a law."""
    rows = [
        prediction(
            ratio, half=0.3, prediction=law.name, target=target, batch_size=1000 + 16 * cell,
            learning_rate=0.0123, learning_rate_used=0.00123, measured_by=way, num_steps=steps,
            bn_mode=mode, sampler=sampler, predicted=2e-5 * (1 + cell),
        )
        for cell in range(num_cells) for law in laws().values() for target in law.targets
        for mode in ("frozen", "batch") for sampler in ("replacement", "shuffle")
        for way, steps in (("fork", 128), ("fork", 512), ("tail", None))
    ]  # fmt: skip
    frame = predictions_table(rows).to_pandas()
    found = law_rows(frame)
    with drawing_settings():
        drawn = [fork_figure(found), parity_figure(found, one_a_law(league(frame)))]
    assert [faults_of(figure) for figure in drawn] == [[], []]
