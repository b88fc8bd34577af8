"""Maps over the grid and spectra: what is drawn, what is marked, what is not drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import colormaps

from analysis.figures.heat_maps import heat_maps
from analysis.figures.measured_figures import (
    MEASURED_FIGURES,
    MeasuredFindings,
)
from analysis.figures.spectrum_figure import (
    chosen_densities,
    spectra_message,
    spectra_sentence,
    spectrum_figure,
)
from analysis.figures.style.cell_styles import cell_styles
from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.sweep_figures import build_all, draw_all
from analysis.findings.spectral_density import (
    NoiseMedian,
    SpectralDensity,
    spectral_densities,
)
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell

_SVG = "{http://www.w3.org/2000/svg}"
_GRID = [(size, rate) for size in (50, 100) for rate in (0.1, 0.2)]


def _texts(axes):
    """Give what is written in the squares, by column and row."""
    return {(round(text.get_position()[0]), round(text.get_position()[1])): text.get_text() for text in axes.texts}  # fmt: skip


def _maps(found):
    with drawing_settings():
        figure = heat_maps(found)
    return None if figure is None else [axes for axes in figure.axes if axes.get_title()]


def _squares(axes):
    """Give the colour of every square, by column and row."""
    return {
        (round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)): patch.get_facecolor()
        for patch in axes.patches
        if patch.get_fill()
    }


def test_each_square_holds_its_value(store, synthetic_sweep, measured_in):
    """The map of tr σ² = 10 mη + the mean seed 1, batch sizes upward and rates to the right."""
    synthetic_sweep(pairs=_GRID).fill()
    _, _, found = measured_in(store)
    noise, *_ = panels = _maps(found)
    assert [axes.get_title() for axes in panels] == [
        "Gradient noise", "Curvature", "Noise over curvature, a ratio", "Test accuracy",
    ]  # fmt: skip
    assert _texts(noise) == {(0, 0): "51", (1, 0): "101", (0, 1): "101", (1, 1): "201"}
    colors = _squares(noise)
    assert colors[1, 0] == colors[0, 1]
    assert len(set(colors.values())) == 3


def test_each_map_has_a_scale_with_numbers_and_its_unit(store, synthetic_sweep, measured_in):
    """Beside it, in the colours of the squares: 51 is the lowest of the scale and 201 its highest."""
    synthetic_sweep(pairs=_GRID).fill()
    _, _, found = measured_in(store)
    with drawing_settings():
        figure = heat_maps(found)
        figure.draw_without_rendering()
    maps = [axes for axes in figure.axes if axes.get_title()]
    scales = [axes for axes in figure.axes if not axes.get_title()]
    assert [axes.get_ylabel() for axes in scales] == [
        "tr σ² (loss²/parameter²)\n(log scale)", "tr H (loss/parameter²)\n(log scale)", "tr σ²/tr H\n(log scale)",
        "accuracy (%)",
    ]  # fmt: skip
    for axes in scales:
        low, high = axes.get_ylim()
        texts = [
            text.get_text()
            for text in axes.get_yticklabels()
            if low <= text.get_position()[1] <= high
        ]
        assert len([text for text in texts if text]) >= 3
    assert scales[0].get_ylim() == pytest.approx((51, 201))
    lowest, *_, highest = colormaps["cividis"].colors
    colors = _squares(maps[0])
    assert colors[0, 0][:3] == pytest.approx(lowest, abs=1 / 255)
    assert colors[1, 1][:3] == pytest.approx(highest, abs=1 / 255)


def test_a_whole_square_has_the_title_of_its_cell(store, synthetic_sweep, measured_in):
    """Its area, its hatching and its number alike: cell and value with its error, or what is lacking."""
    sweep = synthetic_sweep(pairs=[*_GRID[:3], (200, 0.1)], seeds=[0, 1])
    sweep.plan()
    for trial in sweep.trials()[:2]:
        sweep.train(trial)
        sweep.measure(trial)
    for trial in sweep.trials()[2:4]:
        sweep.train(trial, outcome="diverged")
        sweep.measure(trial, skipped_reason="diverged: the loss ran away")
    data, _, found = measured_in(store)
    drawn = draw_all(MEASURED_FIGURES, MeasuredFindings(found, spectral_densities(data)))
    (svg,) = [figure.svg for figure in drawn if figure.name == "heat_maps"]
    groups = {}
    for group in ET.fromstring(svg).iter(f"{_SVG}g"):  # noqa: S314 - our own file
        title = group.find(f"{_SVG}title")
        if title is not None:
            found_in = {child.tag.removeprefix(_SVG) for child in group.iter()}
            groups.setdefault(title.text, []).append(found_in)
    start = "batch size 50, learning rate 0."
    squares = {title: parts for title, parts in groups.items() if ": tr H " in title}
    assert set(squares) == {
        f"{start}1: tr H 50.75 ± 0.25",
        f"{start}2: tr H diverged",
        "batch size 100, learning rate 0.1: tr H missing",
        "batch size 200, learning rate 0.1: tr H missing",
    }
    assert "batch size 200, learning rate 0.2: not planned" in groups
    for title, parts in squares.items():
        assert sum("text" in each for each in parts) == 1, title
        assert sum("text" not in each and "path" in each for each in parts) == 1 + (
            "diverged" in title
        )


def test_missing_and_diverged_squares_are_marked(store, synthetic_sweep, measured_in):
    """A cross where nothing is planned, a word where nothing is measured, hatching where SGD diverged."""
    sweep = synthetic_sweep(pairs=[*_GRID[:3], (200, 0.1)], seeds=[0])
    sweep.plan()
    whole, lost, missing, last = sweep.trials()
    for trial in (whole, last):
        sweep.train(trial)
        sweep.measure(trial)
    sweep.train(lost, outcome="diverged")
    sweep.measure(lost, skipped_reason="diverged: the loss ran away")
    assert missing.batch_size == 100
    _, _, found = measured_in(store)
    noise = _maps(found)[0]
    assert _texts(noise) == {
        (0, 0): "50", (1, 0): "diverged", (0, 1): "missing", (1, 1): "×", (0, 2): "200", (1, 2): "×",
    }  # fmt: skip
    paper = {place for place, color in _squares(noise).items() if color == (1.0, 1.0, 1.0, 1.0)}
    assert paper == {(1, 0), (0, 1), (1, 1), (1, 2)}
    hatched = [patch for patch in noise.patches if patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(0.5, -0.5)]
    caption = MEASURED_FIGURES["heat_maps"].caption(MeasuredFindings(found, []))
    assert "Hatched: a seed diverged" in caption
    assert "missing: planned and not measured." in caption
    assert "×: not planned." in caption


@pytest.mark.parametrize(
    "pairs",
    [
        [(50, 0.1)],
        [(50, 0.1), (100, 0.1)],
        [(50 * (1 + place), 0.1 * (1 + place)) for place in range(5)],  # a diagonal is no map
        [(size, rate / 100) for size in range(1, 12) for rate in range(1, 11)],
        [(size, rate / 1000) for size in (50, 100) for rate in range(1, 26)],
    ],
)
def test_what_is_no_readable_grid_is_not_mapped(store, synthetic_sweep, measured_in, pairs):
    """One cell, one row, scattered pairs, more squares than can be read, a row wider than a page."""
    sweep = synthetic_sweep(pairs=pairs, seeds=[0])
    sweep.plan()
    trial = sweep.trials()[0]
    sweep.train(trial)
    sweep.measure(trial)
    assert _maps(measured_in(store)[2]) is None


def test_nothing_measured_draws_nothing(store, synthetic_sweep, measured_in):
    sweep = synthetic_sweep(pairs=_GRID)
    sweep.plan()
    data, _, found = measured_in(store)
    assert draw_all(MEASURED_FIGURES, MeasuredFindings(found, spectral_densities(data))) == []


def test_equal_values_have_one_colour(store, synthetic_sweep, measured_in):
    """Rounding is no structure: a ratio of 1 ± 1e-16 is drawn flat."""
    sweep = synthetic_sweep(pairs=_GRID, seeds=[0])
    sweep.plan()
    for place, trial in enumerate(sweep.trials()):
        sweep.train(trial)
        sweep.measure(trial, changes={"gradient_noise_trace": 0.3 * (1 + 1e-15 * place)})
    (color, *others) = _squares(_maps(measured_in(store)[2])[0]).values()
    assert all(other == pytest.approx(color, abs=1e-9) for other in others)
    assert 0.2 < sum(color[:3]) / 3 < 0.8  # the middle of the scale


def test_spectra_are_drawn_by_cell_with_the_limit_of_stability(store, forked_sweep, measured_in):
    """Two curves a cell, cells by BS/LR; 2/η = 200 lies beyond λ₁ = 63 and is not drawn.

    The median of the noise is marked as other figures mark its cell; the numbers stand beside it and above all.
    """
    forked_sweep(pairs=[(50, 0.1), (50, 0.2)], seeds=[0], power=1.5).fill()
    data, _, found = measured_in(store)
    findings = MeasuredFindings(found, spectral_densities(data))
    (figure,) = build_all({"spectra": MEASURED_FIGURES["spectra"]}, findings).values()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["BS 50, LR 0.2", "BS 50, LR 0.1"]
    drawn = [[line for line in axes.lines if len(line.get_xdata())] for axes in panels]
    assert [len(lines) for lines in drawn] == [3, 3]
    styles = cell_styles(found.states)
    for density, axes, (*_, mark) in zip(
        chosen_densities(findings.densities), panels, drawn, strict=True
    ):
        style, median = styles[density.cell], density.median
        assert (mark.get_color(), mark.get_marker()) == (style.color, style.marker)
        assert mark.get_xdata()[0] == median.eigenvalue
        (text,) = axes.texts
        assert text.get_text().startswith(
            f"λ ≥ {median.eigenvalue:.0f}:\n65 % of tr σ²\n50 % of directions\n"
        )
    assert figure.get_suptitle() == (
        "65\N{NO-BREAK SPACE}% of tr σ² lies at λ ≥ 45 to 63, by cell: 50\N{NO-BREAK SPACE}% of directions, 74\N{NO-BREAK SPACE}% of tr H"
    )
    assert "share per unit of λ" in panels[0].get_ylabel()
    caption = MEASURED_FIGURES["spectra"].caption(findings)
    assert caption.startswith(
        "65 % of the gradient noise lies along directions of curvature at or above "
    )


def _density(eigenvalue, noise, directions, curvature):
    """Make the findings of a cell of whose spectra the median alone counts; shares with an error of a tenth."""
    shares = (Uncertain(share, share / 10) for share in (noise, directions, curvature))
    cell, none = Cell("kld", int(eigenvalue), 0.1), np.zeros(1)
    return SpectralDensity(cell, none, {}, 1.0, 1, NoiseMedian(eigenvalue, *shares))


def test_spectra_say_one_thing_in_a_line_and_in_words():
    """A half, or what one node carries; ranges over cells; nothing of what is not known."""
    one = [_density(12.0, 0.5, 0.02, 0.71)]
    assert spectra_message(one) == "Half of tr σ² lies at λ ≥ 12: 2 % of directions, 71 % of tr H"
    assert spectra_sentence(one) == (
        "Half of the gradient noise lies along directions of curvature at or above its median λ, 12, which are "
        "2 % of all directions and hold 71 % of tr H. One standard error over start vectors and seeds is at "
        "most 0.2 % of directions and 7.1 % of tr H."
    )
    two = [*one, _density(30.0, 0.54, 0.013, 1.04)]
    assert spectra_message(two) == (
        "Half of tr σ² lies at λ ≥ 12 to 30, by cell: 1.3 to 2 % of directions, 71 to 104 % of tr H"
    )
    assert "its median λ, 12 to 30 by cell, which" in spectra_sentence(two)
    assert spectra_sentence(two).endswith(
        "More than 100 % of tr H: negative curvature takes the rest away."
    )
    lumped = [_density(12.0, 0.65, np.nan, np.nan)]
    assert spectra_message(lumped) == "65 % of tr σ² lies at λ ≥ 12"
    assert spectra_sentence(lumped) == (
        "65 % of the gradient noise lies along directions of curvature at or above its median λ, 12."
    )
    silent = [SpectralDensity(Cell("kld", 1, 0.1), np.zeros(1), {}, 1.0, 1)]
    assert spectra_message(silent) == spectra_sentence(silent) == ""


def test_the_limit_of_stability_is_drawn_within_the_spectrum():
    """With μ = 0.5 and η = 0.01 it is 2 · 1.5/0.01 = 300."""
    cell, eigenvalues = Cell("kld", 50, 0.1), np.linspace(0, 400, 50)
    curve = np.exp(-eigenvalues / 100)
    density = SpectralDensity(cell, eigenvalues, {"hessian": curve}, 4.0, 1)
    with drawing_settings():
        figure = spectrum_figure([density], {cell: 0.01}, 0.5, {}, {})
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [0.0, pytest.approx(300.0)]


def test_many_cells_are_chosen_and_the_caption_says_so(store, forked_sweep, measured_in):
    """Nine of eleven, the first and the last among them."""
    pairs = [(10 * (1 + place), 0.1) for place in range(11)]
    forked_sweep(pairs=pairs, seeds=[0]).fill()
    data, _, found = measured_in(store)
    findings = MeasuredFindings(found, spectral_densities(data))
    (figure,) = build_all({"spectra": MEASURED_FIGURES["spectra"]}, findings).values()
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert (len(titles), titles[0], titles[-1]) == (9, "BS 10, LR 0.1", "BS 110, LR 0.1")
    assert "9 of 11 cells" in MEASURED_FIGURES["spectra"].caption(findings)
