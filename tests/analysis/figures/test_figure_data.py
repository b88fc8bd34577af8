"""Every figure has its numbers as CSV: those that are drawn, in full, with the names of the records."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest

from analysis.aggregation.aggregate import aggregate_records
from analysis.figures.figure_data import csv_text, traces_data
from analysis.figures.measured_figures import MEASURED_FIGURES, MeasuredFindings
from analysis.figures.sweep_figures import SWEEP_FIGURES, build_all
from analysis.findings.measured import measured_cells
from analysis.findings.spectral_density import spectral_densities
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.law_section import LAW_FIGURES
from analysis.report.report import laws_of
from workers.contract.store import Store

_CELL = ["loss", "batch_size", "learning_rate"]


@pytest.fixture(scope="module")
def found(tmp_path_factory, forked_sweep_in):
    """Build every figure of a sweep of four cells, and read the CSV of each."""
    store = Store.open(str(tmp_path_factory.mktemp("store")))
    pairs = [(size, rate) for size in (50, 100) for rate in (0.1, 0.2)]
    forked_sweep_in(store, pairs=pairs, seeds=[0, 1], power=1.5, strength=0.01).fill()
    data = load_sweep(store, "toy")
    derived, table = aggregate_records(data), build_table1(data)
    measured = measured_cells(data, derived.cell_measurements.to_pandas())
    found = {}
    for recipes, findings in (
        (SWEEP_FIGURES, (data, table)),
        (LAW_FIGURES, (laws_of(data, table, derived),)),
        (MEASURED_FIGURES, (MeasuredFindings(measured, spectral_densities(data)),)),
    ):
        for name, figure in build_all(recipes, *findings).items():
            text = csv_text(recipes[name].data(*findings))
            found[name] = (figure, pd.read_csv(io.StringIO(text)))
    return found


def _ordinates(figure):
    """Give the ordinates of all points that are drawn as marks; ends of error bars are none."""
    no_marks = ("None", "_", "|")
    lines = [
        line for axes in figure.axes for line in axes.lines if line.get_marker() not in no_marks
    ]
    return np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("traces", ["gradient_noise_trace_mean", "hessian_trace_mean", "paper_gradient_noise_trace", "paper_hessian_trace"]),
        ("trace_ratio", ["trace_ratio_mean", "paper_trace_ratio"]),
        ("layers", ["gradient_noise_trace_mean", "hessian_trace_mean"]),
        ("learning_curves", ["train_accuracy", "validation_accuracy", "train_loss", "validation_loss"]),
        ("fork_curve", ["measured", "predicted"]),
        ("parity", ["measured"]),
    ],
)  # fmt: skip
def test_what_is_drawn_is_in_the_file(name, columns, found):
    """Every ordinate of a mark is a number of a column; every row names its cell."""
    figure, frame = found[name]
    assert list(frame)[:3] == _CELL
    assert frame[_CELL].notna().all(axis=None)
    written = frame[columns].to_numpy(float).ravel()
    for drawn in _ordinates(figure):
        assert np.isclose(written, drawn, rtol=1e-12).any(), drawn


def test_every_figure_has_a_file(found):
    """Nine figures, none of them without rows."""
    assert set(found) == {*SWEEP_FIGURES, *LAW_FIGURES, *MEASURED_FIGURES}
    assert {name: len(frame) for name, (_, frame) in found.items()} == {
        "learning_curves": 4 * 3, "traces": 4, "trace_ratio": 4, "layers": 4 * 2, "heat_maps": 4,
        "fork_curve": len(found["fork_curve"][1]), "parity": len(found["parity"][1]),
        "covariance": 4 * 2 * 8, "spectra": 4 * 400,
    }  # fmt: skip


def test_the_file_of_the_maps_has_every_square(found):
    """Tr H of a square is what its map writes there."""
    figure, frame = found["heat_maps"]
    (curvature,) = [axes for axes in figure.axes if axes.get_title() == "Curvature"]
    texts = {tuple(map(round, text.get_position())): text.get_text() for text in curvature.texts}
    rows = frame.sort_values(["batch_size", "learning_rate"])["hessian_trace_mean"]
    squares = [texts[column, row] for row in range(2) for column in range(2)]
    assert [float(text) for text in squares] == pytest.approx(rows.tolist(), rel=0.01)
    assert frame["test_accuracy_percent_mean"].tolist() == pytest.approx([89.5] * 4)


def test_the_file_of_the_covariance_has_what_both_laws_say(found):
    """measured/predicted of the figure is the quotient of two columns, and the exponential of a third."""
    frame = found["covariance"][1]
    for law in ("jastrzebski", "wang"):
        ratios = frame["variance"] / frame[f"variance_{law}"]
        np.testing.assert_allclose(np.exp(frame[f"log_ratio_{law}"]), ratios, rtol=1e-12)
    np.testing.assert_allclose(frame["scaled_rate"], frame["learning_rate_used"] * frame["eigenvalue"])  # fmt: skip


def test_the_file_of_the_spectra_has_curves_of_area_1(found):
    """Of the density of states and of the noise, cell by cell, over the λ of its rows."""
    for _, rows in found["spectra"][1].groupby(_CELL):
        for kind in ("hessian", "noise"):
            area = np.trapezoid(rows[f"{kind}_density"], rows["eigenvalue"])
            assert area == pytest.approx(1, abs=0.02)  # tails beyond the ends


def test_the_file_of_the_spectra_has_what_its_panels_say(found):
    """The median of the noise and the shares at it or above, once a row, as each panel writes them."""
    figure, frame = found["spectra"]
    columns = ["noise_median_eigenvalue", "noise_share", "direction_share", "hessian_trace_share"]
    cells = frame.groupby(_CELL)[columns]
    assert (cells.nunique() == 1).all(axis=None)
    ratio = cells.first().reset_index().eval("batch_size / learning_rate")
    rows = cells.first().iloc[np.argsort(ratio, kind="stable")]
    for axes, (_, row) in zip(figure.axes, rows.iterrows(), strict=True):
        (text,) = [text.get_text() for text in axes.texts]
        median, *shares = (float(part) for part in re.findall(r"[\d.]+(?=:| %)", text))
        assert median == pytest.approx(row["noise_median_eigenvalue"], rel=0.05)
        assert shares == pytest.approx([100 * row[name] for name in columns[1:]], rel=0.05)


def test_what_is_not_known_is_empty(store, synthetic_sweep):
    """A single seed has no error over seeds: nothing stands there, neither nan nor 0."""
    synthetic_sweep(pairs=[(50, 0.1)], seeds=[0]).fill()
    head, row = csv_text(traces_data(build_table1(load_sweep(store, "toy")))).splitlines()
    fields = dict(zip(head.replace('"', "").split(","), row.split(","), strict=True))
    assert float(fields["gradient_noise_trace_mean"]) == 50
    assert fields["gradient_noise_trace_stderr"] == ""
