"""Figures of 4 to 60 cells: nothing clipped, nothing on top of another, every legend in one order."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from analysis.figures import layers_figure as layers_module
from analysis.figures.layers_figure import layers_figure
from analysis.figures.learning_curves import learning_curves
from analysis.figures.style.figure_style import drawing_settings
from analysis.figures.trace_figures import ratio_figure, traces_figure
from analysis.records.cell import Cell, by_ratio

_LAYERS = [f"stage{stage}_block{block}_{kind}" for stage in (1, 2, 3) for block in range(9) for kind in ("conv1", "norm1")]  # fmt: skip


def _cells(count):
    sizes, rates = {4: (2, 2), 9: (3, 3), 25: (5, 5), 60: (10, 6)}[count]
    return [Cell("kld", 16 * 2**i, 0.01 * 2**j) for i in range(sizes) for j in range(rates)]


@pytest.fixture
def figure_of(monkeypatch, table_of, curves_of):
    """Draw a figure of these cells."""

    def draw(name, cells):
        if name == "learning_curves":
            return learning_curves(curves_of(cells))
        if name == "layers":
            means = {c: {layer: 0.01 * (i + 1) for i, layer in enumerate(_LAYERS)} for c in cells}
            monkeypatch.setattr(layers_module, "layer_means", lambda *_: means)
            return layers_figure(SimpleNamespace(cells=cells))
        return {"traces": traces_figure, "trace_ratio": ratio_figure}[name](table_of(cells))

    return draw


def _drawn_labels(axis):
    first, last = sorted(axis.get_view_interval())
    margin = 1e-9 * (last - first)
    ticks = axis.get_major_ticks(len(axis.get_majorticklocs()))
    return [
        text
        for place, text in ((tick.get_loc(), tick.label1) for tick in ticks)
        if first - margin <= place <= last + margin and text.get_text() and text.get_visible()
    ]


@pytest.mark.parametrize("name", ["traces", "trace_ratio", "layers", "learning_curves"])
@pytest.mark.parametrize(
    "count", [4, 9, *(pytest.param(count, marks=pytest.mark.slow) for count in (25, 60))]
)
def test_nothing_is_clipped_and_no_tick_labels_overlap(name, count, figure_of):
    """All that is drawn lies within the figure; legends of 60 cells ran out of it, labels into each other."""
    with drawing_settings():
        figure = figure_of(name, _cells(count))
        figure.draw_without_rendering()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= -0.01
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if not axis.get_tick_params().get("labelbottom", True):
                    continue
                boxes = [text.get_window_extent() for text in _drawn_labels(axis)]
                assert not any(one.overlaps(other) for one, other in pairwise(boxes))


@pytest.mark.parametrize("name", ["trace_ratio", "layers", "learning_curves"])
def test_legends_list_cells_by_ratio(name, figure_of):
    """In the order of BS/LR in every figure; they stood as the cells of Table 1 in one and not in others."""
    with drawing_settings():
        figure = figure_of(name, _cells(9))
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    listed = [text.get_text() for legend in legends for text in legend.get_texts()]
    labels = [text for text in listed if text.startswith("BS/LR")]
    values = [float(label.split()[1].rstrip(":")) for label in labels]
    assert len(labels) == len(set(labels)) == 9
    if name != "layers":
        assert values == sorted(values) == [
            pytest.approx(cell.batch_size_over_learning_rate) for cell in by_ratio(_cells(9))
        ]  # fmt: skip


def test_ratios_have_three_digits(figure_of):
    """BS/LR 53.3 on the axis, in the legend and below the traces, though the quotient has no end."""
    cells = [Cell("kld", 16, 0.3), Cell("kld", 32, 0.3)]
    with drawing_settings():
        ratios, traces = (figure_of(name, cells) for name in ("trace_ratio", "traces"))
    axes = ratios.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["53.3", "107"]
    (legend,) = ratios.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[-2:] == ["BS/LR 53.3: BS 16, LR 0.3", "BS/LR 107: BS 32, LR 0.3"]
    labels = [label.get_text() for label in traces.axes[0].get_xticklabels()]
    assert labels == ["53.3\n16\n0.3", "107\n32\n0.3"]


def test_layers_are_told_apart_by_mark_and_never_joined(figure_of):
    """A marker for each kind, in one legend; no line but the swatches of the legend."""
    with drawing_settings():
        figure = figure_of("layers", _cells(4))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "convolution",
        "batch normalisation",
    ]
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata())]
    assert {line.get_linestyle() for line in lines} == {"None"}
    assert {line.get_marker() for line in lines} == {"o", "D"}
    assert len(lines) == 2 * 4 * 2


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        ("stage1_block0_conv2", "convolution"), ("stage2_block0_projection", "convolution"),
        ("stem_norm", "batch normalisation"), ("batch_normalization_3", "batch normalisation"),
        ("conv2d_bn", "batch normalisation"), ("outputs", "dense"), ("hidden0", "dense"),
        ("embedding", "other"),
    ],
)  # fmt: skip
def test_the_kind_of_a_layer_is_in_its_name(layer, kind):
    """Of our own networks, and of layers that Keras names."""
    assert layers_module.layer_kind(layer)[0] == kind
