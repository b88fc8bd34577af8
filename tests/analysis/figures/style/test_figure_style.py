from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analysis.figures.style.figure_style import axis_label, set_log, tick_text
from analysis.laws.palette import CELL_COLORS, CURVATURE, GREY, NOISE
from analysis.predictions import laws
from analysis.report import web

_CSS = (Path(web.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
_LAW_COLORS = {law.color for law in laws().values()}


def _page_colors(name):
    """Give a variable of the page in the light, in the dark and in print."""
    return re.findall(rf"--{name}: (#[0-9a-f]+)", _CSS)


def _luminance(color):
    """Compute the relative luminance of WCAG 2.2, 0 of black and 1 of white."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_that_of_wcag():
    """Black on white 21:1; #767676 is the lightest grey with 4.5:1 on white."""
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_every_mark_stands_out_from_white_and_from_dark_paper():
    """At least 3:1 (WCAG 1.4.11); wine had 2.05:1 in the dark, sky blue 2.31:1 on white."""
    light, dark, *_ = _page_colors("paper")
    assert _luminance(light) > 0.9
    assert _luminance(dark) < 0.02
    for color in {*_LAW_COLORS, *CELL_COLORS, NOISE, CURVATURE, GREY}:
        assert min(_contrast(color, light), _contrast(color, dark)) >= 3.0, color


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1.0, 1.3),
        (3e-5, 4e-5),
        (0.1, 1000),
        (0.97, 1.04),
        (4.1, 4.4),
        (1e-12, 1e9),
        (80, 520),
        (5, 5),
    ],
)
def test_a_logarithmic_axis_has_two_labels_or_more(low, high):
    """Whenever its range is known: each a text of its own, at most seven.

    Where marks came after the scale, 1.0 to 1.3 had one label and 1e-12 to 1e9 none.
    """
    axes = Figure().subplots()
    axes.margins(0)
    set_log(axes.yaxis)
    axes.plot([1, 2], [low, high])
    first, last = axes.get_ylim()
    ticks = [tick for tick in axes.yaxis.get_majorticklocs() if first <= tick <= last]
    texts = axes.yaxis.get_major_formatter().format_ticks(ticks)
    assert 2 <= len(set(texts)) == len(ticks) <= 7
    assert all(_value(text) == pytest.approx(tick) for text, tick in zip(texts, ticks, strict=True))


def _value(text):
    """Read a number as `tick_text` writes it."""
    if "10" not in text or not set(text) & set("⁻⁰¹²³⁴⁵⁶⁷⁸⁹"):
        return float(text)
    factor, power = re.fullmatch(r"(?:(.+)×)?10(\S+)", text).groups()
    raised = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(factor or 1) * 10.0 ** int(raised)


def test_numbers_of_an_axis_are_read_at_a_glance():
    """Plain where short, with a power of ten where zeros would have to be counted."""
    assert [tick_text(value) for value in (0.0005, 0.08, 1, 30000, 1e5, 3e-5)] == [
        "0.0005", "0.08", "1", "30000", "10⁵", "3×10⁻⁵"
    ]  # fmt: skip
    assert tick_text(0.0) == "0"


def test_axes_have_the_units_of_the_glossary():
    """What has no dimension has none."""
    assert axis_label("hessian_trace") == "tr H (loss/parameter²)"
    assert axis_label("accuracy") == "accuracy"
