from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from analysis.evidence.covariance import covariances
from analysis.figures.covariance_figure import covariance_figure
from analysis.figures.fork_figure import MOST_PANELS, fork_figure, fork_panels
from analysis.figures.parity_figure import parity_figure
from analysis.findings.law_rows import law_rows
from analysis.findings.league import league
from analysis.predictions import laws
from analysis.records.load import load_sweep


@pytest.fixture
def rows_of(predictions_table):
    return lambda rows: law_rows(predictions_table(rows).to_pandas())


def named(artist) -> str:
    """Give the law that a mark's label calls as sentences do, else the label."""
    label = artist.get_label()
    return {law.human_name: name for name, law in laws().items()}.get(label, label)


def _windows(prediction, **changes):
    """Give three windows of a fork with finite_time, and both asymptotes at the last."""
    rows = [
        prediction(
            1.1, prediction="finite_time", num_steps=steps, predicted=1e-5 * steps, **changes
        )
        for steps in (128, 256, 512)
    ]
    rows += [
        prediction(
            prediction=law, predicted=value, measured=1.1 * 512e-5, measured_stderr=1e-4, **changes
        )
        for law, value in (("wang_4_45", 6e-3), ("jastrzebski_9", 1.0))
    ]
    return rows


def test_the_fork_curve_shows_measured_predicted_and_both_asymptotes(prediction, rows_of):
    """Points at 1.1 times the line of finite_time; horizontal lines at what the laws settle to."""
    (axes,) = fork_figure(rows_of(_windows(prediction))).axes
    bars, *_ = axes.containers
    np.testing.assert_allclose(bars.lines[0].get_xdata().astype(float), [128, 256, 512])
    np.testing.assert_allclose(
        bars.lines[0].get_ydata().astype(float), 1.1e-5 * np.array([128, 256, 512])
    )
    lines = {named(line): line for line in axes.get_lines()}
    np.testing.assert_allclose(lines["finite_time"].get_ydata(), [128e-5, 256e-5, 512e-5])
    assert lines["wang_4_45"].get_ydata()[0] == 6e-3
    assert lines["jastrzebski_9"].get_ydata()[0] == 1.0
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_title() == "BS 100, LR 0.1, η 0.01"
    band = axes.collections[-1].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(512e-5 + 1e-6)


def test_of_one_window_each_law_stands_beside_what_was_measured(prediction, rows_of):
    """Marks that agree would hide each other; the axis still tells the one number of steps."""
    rows = [
        prediction(1.0, prediction=name, num_steps=16)
        for name in ("finite_time", "finite_time_drift", "wang_4_45")
    ]
    (axes,) = fork_figure(rows_of(rows)).axes
    marks = {named(bars): bars.lines[0] for bars in axes.containers}
    assert set(marks) == {"finite_time", "finite_time_drift", "measured"}
    places = sorted(float(mark.get_xdata()[0]) for mark in marks.values())
    assert places[0] == 16
    assert all(after / before > 1.05 for before, after in pairwise(places))
    low, high = axes.get_xlim()
    assert low < places[0] < places[-1] < high
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["16"]
    for name in ("finite_time", "finite_time_drift"):
        assert marks[name].get_marker() == laws()[name].marker
        assert float(marks[name].get_ydata()[0]) == pytest.approx(rows[0]["predicted"])


def test_excursions_have_panels_of_their_own(prediction, rows_of):
    """Cells, batch norm modes; tails and other targets have none; no more than fit."""
    rows = _windows(prediction) + _windows(prediction, bn_mode="batch")
    rows.append(prediction(1.0, measured_by="tail", num_steps=None))
    rows.append(prediction(1.0, target="expected_gradient_norm_squared"))
    figure = fork_figure(rows_of(rows))
    assert [axes.get_title() for axes in figure.axes] == [
        "BS 100, LR 0.1, η 0.01, BN batch", "BS 100, LR 0.1, η 0.01, BN frozen"
    ]  # fmt: skip
    many = [row for size in range(14) for row in _windows(prediction, batch_size=10 + size)]
    assert len(fork_panels(rows_of(many))) == 14
    assert sum(axes.get_visible() for axes in fork_figure(rows_of(many)).axes) == MOST_PANELS


def test_the_line_is_the_law_of_the_sampler(prediction, rows_of):
    """One line: the other sampler's law, which is there too, is not mixed into it."""
    other = [
        row | {"prediction": "shuffled", "predicted": 1e-7}
        for row in _windows(prediction)
        if row["prediction"] == "finite_time"
    ]
    for sampler, law in (("replacement", "finite_time"), ("shuffle", "shuffled")):
        rows = [row | {"sampler": sampler} for row in _windows(prediction) + other]
        (axes,) = fork_figure(rows_of(rows)).axes
        lines = {named(line): line.get_ydata() for line in axes.get_lines()}
        assert len(lines[law]) == len(other)
        assert {"finite_time", "shuffled"} & set(lines) == {law}


def test_a_law_has_one_colour_in_both_figures(prediction, rows_of):
    """Curve, level and mark alike; `shuffled` was drawn as `finite_time`, its drift as a reference."""
    for sampler, names in (
        ("replacement", ["wang_4_45", "jastrzebski_9", "finite_time", "finite_time_drift"]),
        ("shuffle", ["shuffled", "wang_4_45"]),
    ):
        rows = rows_of(
            [
                prediction(1.1, prediction=name, num_steps=steps, sampler=sampler)
                for name in names
                for steps in (256, 512)
            ]
        )
        (curves,), (marks,) = fork_figure(rows).axes, parity_figure(rows).axes
        of_time = {named(line): line.get_color() for line in curves.get_lines()}
        at_the_end = {named(bars): bars.lines[0] for bars in marks.containers}
        assert set(of_time) & set(laws()) == set(names) == set(at_the_end)
        for name in names:
            assert of_time[name] == at_the_end[name].get_color() == laws()[name].color
            assert at_the_end[name].get_marker() == laws()[name].marker


def test_excess_losses_below_zero_are_drawn_linearly(prediction, rows_of):
    """A logarithm cannot show them, and leaving them out would flatter the law."""
    rows = _windows(prediction)
    rows[0] |= {"measured": -1e-4, "log_ratio": None}
    (axes,) = fork_figure(rows_of(rows)).axes
    assert axes.get_yscale() == "linear"


def test_parity_shows_every_law_at_the_end(prediction, rows_of):
    """Filled where valid, hollow where not; the line of equality spans both axes."""
    rows = [
        prediction(1.2),
        prediction(1.0, num_steps=128),
        prediction(0.1, prediction="jastrzebski_9", valid=False),
        prediction(1.0, prediction="wang_4_46", target="expected_gradient_norm_squared"),
    ]
    first, second = parity_figure(rows_of(rows)).axes
    marks = {named(bars): bars.lines[0] for bars in first.containers}
    assert marks["wang_4_45"].get_ydata()[0] == pytest.approx(1.2 * 2e-5)
    assert marks["wang_4_45"].get_markerfacecolor() == laws()["wang_4_45"].color
    assert marks["jastrzebski_9"].get_markerfacecolor() == "none"
    assert first.get_xlim() == first.get_ylim()
    assert second.get_xlabel() == "predicted E‖∇L‖² (loss²/parameter²)"


def test_parity_shows_what_the_factors_are_of(prediction, rows_of):
    """Every window of a law that speaks of each, the last of one of the stationary state."""
    rows = [
        prediction(1.0 + steps / 1000, prediction=law, num_steps=steps)
        for law in ("finite_time", "wang_4_45")
        for steps in (128, 512)
    ]
    (axes,) = parity_figure(rows_of(rows)).axes
    shown = {
        law: sorted(bars.lines[0].get_ydata()[0] / 2e-5 for bars in axes.containers if named(bars) == law)
        for law in ("finite_time", "wang_4_45")
    }  # fmt: skip
    assert shown == {
        "finite_time": pytest.approx([1.128, 1.512]),
        "wang_4_45": pytest.approx([1.512]),
    }


def test_factors_in_a_legend_have_three_digits_each(prediction, predictions_table):
    """Those of the tables, trailing zeros included, value and bounds alike."""
    frame = predictions_table([prediction(0.9, half=math.log(1.2))]).to_pandas()
    (axes,) = parity_figure(law_rows(frame), league(frame)).axes
    label = axes.get_legend_handles_labels()[1][-1]
    assert label == "Wang 2019, Eq 4.45: 0.900 [0.750, 1.08]"


def test_the_covariance_figure_has_both_laws_and_the_noise(store, forked_sweep):
    """Ratios of every direction against ηλ, and c against λ with the line c = λ."""
    sweep = forked_sweep(power=1.5, pairs=[(50, 0.1)], seeds=[0]).fill()
    data = load_sweep(store, "toy")
    left, right = covariance_figure(covariances(data), data.cells).axes
    labels = {named(bars): bars.lines[0] for bars in left.containers}
    np.testing.assert_allclose(
        labels["measured / Γ of ΓH + HΓ = σ²"].get_ydata().astype(float), 1.0
    )
    trial = sweep.trials()[0]
    np.testing.assert_allclose(
        labels["measured / (η/2m), Jastrzębski, Eq 5"].get_xdata().astype(float),
        0.01 * sweep.eigenvalues(trial),
    )
    points = next(line for line in right.get_lines() if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_ydata(), sweep.noises(trial))


def test_nothing_measured_draws_nothing():
    """No empty axes in the report."""
    assert fork_figure([]) is None
    assert parity_figure([]) is None
    assert covariance_figure([], []) is None
