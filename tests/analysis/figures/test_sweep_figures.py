from __future__ import annotations

import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from analysis.figures.layers_figure import layers_figure
from analysis.figures.learning_curves import learning_curves
from analysis.figures.sweep_figures import SWEEP_FIGURES, draw_all, write_figures
from analysis.figures.trace_figures import ratio_figure, traces_figure
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep


@pytest.fixture
def data(store, synthetic_sweep):
    synthetic_sweep(pairs=[(100, 0.08), (200, 0.2), (100, 0.1)]).fill()
    return load_sweep(store, "toy")


def test_curves_are_means_over_seeds(data):
    """Lines at (2 + 0.01 for the mean seed) / epoch, bands ± the standard error over seeds."""
    panels = learning_curves(data).axes
    assert [axes.get_ylabel() for axes in panels] == [
        "training accuracy",
        "validation accuracy",
        "training loss L\nper example",
        "validation loss L\nper example",
    ]
    lines = [line for line in panels[2].get_lines() if len(line.get_xdata()) == 3]
    assert len(lines) == 3
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(lines[0].get_ydata(), [2.01, 1.01, 2 / 3 + 0.01])
    band = panels[2].collections[0].get_paths()[0].vertices
    upper = band[np.isclose(band[:, 0], 1.0), 1].max()
    assert upper == pytest.approx(2.01 + 0.01 / np.sqrt(3))


def test_diverged_seeds_are_left_out_of_the_curves(store, synthetic_sweep):
    """The mean is over the seeds that have a minimum."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 4])
    sweep.plan()
    first, second = sweep.trials()
    sweep.train(first)
    sweep.train(second, outcome="diverged")
    (line,) = [
        line
        for line in learning_curves(load_sweep(store, "toy")).axes[2].get_lines()
        if len(line.get_xdata()) == 3
    ]
    assert line.get_ydata()[0] == pytest.approx(2.0)


def test_the_ratio_is_drawn_against_three_abscissas(data):
    """BS/LR, LR and BS, as in Figure 4; the paper's points where the cell is the paper's."""
    table = build_table1(data)
    panels = ratio_figure(table).axes
    assert [axes.get_xlabel() for axes in panels] == [
        "m/η = BS/LR, initial η",
        "initial η (LR)",
        "m (BS), examples",
    ]
    assert panels[0].get_ylabel() == "tr σ² / tr H"
    drawn = sorted(c.lines[0].get_ydata()[0] for c in panels[1].containers)
    assert drawn == pytest.approx(sorted(row.magnitude_difference.value for row in table.rows))
    hollow = [line for line in panels[2].get_lines() if line.get_marker() == "D"]
    assert sorted(line.get_ydata()[0] for line in hollow) == [2.4, 8.3]


def test_both_traces_stand_in_every_cell(data):
    """Cells in the order of BS/LR, labelled with all three numbers."""
    (axes,) = traces_figure(build_table1(data)).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["1000\n100\n0.1", "1000\n200\n0.2", "1250\n100\n0.08"]
    assert axes.get_yscale() == "log"
    assert len(axes.containers) == 6


def test_layers_are_drawn_in_their_order(data, store, synthetic_sweep):
    """From input to output; without layers there is no figure."""
    axes = layers_figure(data).axes
    assert [label.get_text() for label in axes[-1].get_xticklabels()] == ["conv", "dense"]
    marks = [line for line in axes[0].get_lines() if len(line.get_xdata())]
    assert [marks[0].get_ydata(), marks[1].get_ydata()] == [[pytest.approx(50.5)]] * 2
    synthetic_sweep(name="whole", layers=(), seeds=[9]).fill()
    assert layers_figure(load_sweep(store, "whole")) is None


def test_negative_layer_traces_are_drawn_linearly(store, synthetic_sweep):
    """A loss that is not convex in the outputs may have them; a logarithm cannot show them."""
    sweep = synthetic_sweep(seeds=[0])
    sweep.plan()
    for trial in sweep.trials():
        sweep.train(trial)
        sweep.measure(trial, changes={"hessian_trace": -1.0})
    panels = layers_figure(load_sweep(store, "toy")).axes
    assert [axes.get_yscale() for axes in panels] == ["log", "linear"] * 2


def test_figures_are_written_as_svg_pdf_and_csv(data, tmp_path):
    """Well-formed files, drawn without touching Matplotlib's global settings."""
    before = dict(mpl.rcParams)
    figures = draw_all(SWEEP_FIGURES, data, build_table1(data))
    paths = write_figures(figures, tmp_path / "figures")
    assert dict(mpl.rcParams) == before
    assert [figure.name for figure in figures] == [
        "learning_curves",
        "traces",
        "trace_ratio",
        "layers",
    ]
    assert len(paths) == 12
    for path in paths:
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file
        elif path.suffix == ".csv":
            assert len(path.read_text(encoding="utf-8").splitlines()) > 1
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_equal_data_gives_equal_files(data):
    """No dates and no random names: a report under version control changes with its numbers only."""
    table = build_table1(data)
    first, second = draw_all(SWEEP_FIGURES, data, table), draw_all(SWEEP_FIGURES, data, table)
    assert [figure.svg for figure in first] == [figure.svg for figure in second]
    assert [figure.pdf for figure in first] == [figure.pdf for figure in second]


def test_nothing_measured_draws_nothing(store, synthetic_sweep):
    """A plan alone has no figures."""
    synthetic_sweep().plan()
    data = load_sweep(store, "toy")
    assert draw_all(SWEEP_FIGURES, data, build_table1(data)) == []


BAD_SETTINGS = {
    "text.usetex": True,
    "font.family": "serif",
    "savefig.dpi": 3000,
    "axes.linewidth": 5.0,
    "svg.image_inline": False,
    "lines.marker": "o",
    "savefig.bbox": "tight",
    "axes.prop_cycle": mpl.cycler(color=["red"]),
    "legend.fontsize": 30,
    "xtick.direction": "in",
    "path.sketch": (1, 100, 2),
}


def test_the_settings_of_a_notebook_decide_nothing_and_stay(data):
    """Equal bytes, whatever was set; afterwards it is set as before."""
    table = build_table1(data)
    clean = [(each.name, each.svg, each.pdf) for each in draw_all(SWEEP_FIGURES, data, table)]
    assert clean
    with mpl.rc_context(BAD_SETTINGS):
        before = dict(mpl.rcParams)
        assert [
            (each.name, each.svg, each.pdf) for each in draw_all(SWEEP_FIGURES, data, table)
        ] == clean
        assert dict(mpl.rcParams) == before


def test_diverged_cells_are_marked_among_the_traces(store, synthetic_sweep):
    """A dagger at the name of a cell of which a seed diverged, the word where no seed is left, and the caption."""
    sweep = synthetic_sweep(pairs=[(50, 0.1), (100, 0.1), (200, 0.1)], seeds=[0, 1])
    sweep.plan()
    for trial in sweep.trials():
        is_lost = trial.batch_size == 200 or (trial.batch_size, trial.seed) == (100, 1)
        sweep.train(trial, outcome="diverged" if is_lost else "converged")
        sweep.measure(trial, skipped_reason="diverged: the loss ran away" if is_lost else None)
    data = load_sweep(store, "toy")
    table = build_table1(data)
    (axes,) = traces_figure(table).axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["500\n50\n0.1", "1000\n100\n0.1†", "2000\n200\n0.1†"]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("diverged", 2)]
    assert (
        SWEEP_FIGURES["traces"]
        .caption(data, table)
        .endswith(" †: a seed diverged and is left out.")
    )
