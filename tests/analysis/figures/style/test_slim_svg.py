"""A slim figure says and draws what the whole one does."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from analysis.figures import sweep_figures
from analysis.figures.style.slim_svg import slim_svg
from analysis.figures.sweep_figures import SWEEP_FIGURES, draw_all
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.web.inline_svg import inline_svg

_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
_PLACES = ("d", "x", "y", "transform")
_NO_TURN = re.compile(r"^rotate\(-?0 .*\)$")
_WHOLE = (
    '<svg xmlns="http://www.w3.org/2000/svg"><defs><style type="text/css">*{a: b}</style></defs>\n'
    ' <g id="axes_1">\n  <defs>\n   <path id="m1" d="M 1.23456 -2.5 \nL 3 0.009" style="fill: red"/>\n  </defs>\n'
    '  <use href="#m1" x="7.7777" style="fill: blue"/>\n  <text style="fill: blue">0.12345  =  #m1</text>\n </g>\n</svg>'
)


@pytest.fixture
def figures(store, synthetic_sweep, monkeypatch) -> list[str]:
    """Return the SVG elements of a sweep's figures, as Matplotlib writes them."""
    monkeypatch.setattr(sweep_figures, "slim_svg", lambda svg: svg)
    synthetic_sweep().fill()
    data = load_sweep(store, "toy")
    drawn = draw_all(SWEEP_FIGURES, data, build_table1(data))
    return [figure.svg[figure.svg.index("<svg") :] for figure in drawn]


def test_what_is_dropped():
    """Idle ids, unseen digits, blanks and repeated styles; no text changes, and a definition keeps its style."""
    assert slim_svg(_WHOLE) == (
        '<svg xmlns="http://www.w3.org/2000/svg"><defs><style type="text/css">*{a: b}.s0{fill: blue}</style></defs>'
        '<defs><path id="n0" d="M1.23 -2.5 3 0" style="fill: red"/></defs>'
        '<use href="#n0" x="7.77" class="s0"/><text class="s0">0.12345  =  #m1</text></svg>'
    )


def test_on_a_page_a_class_is_the_figures_own_and_beats_its_general_rule():
    """Of two figures on a page each has its `s0`."""
    page = inline_svg(slim_svg(_WHOLE), "one", "label")
    assert '<style type="text/css">#one *{a: b}#one .s0{fill: blue}</style>' in page


def test_a_figure_without_a_style_sheet_keeps_its_styles():
    """There is no place to put them."""
    bare = '<svg><path style="fill: red"/></svg>'
    assert slim_svg(bare) == bare


def test_a_group_goes_where_it_neither_says_nor_sets_anything():
    """Titles are of the group that they stand in."""
    whole = '<svg><g id="a"><g><title>t</title><use/></g><g fill="red"/><g id="b"><g class="c"><p/></g></g></g></svg>'
    assert slim_svg(whole) == (
        '<svg><g><title>t</title><use/></g><g fill="red"/><g class="c"><p/></g></svg>'
    )


def test_the_command_of_a_line_is_left_out_after_a_line_alone():
    """After a curve it would be one more curve."""
    assert slim_svg(
        '<path d="M 1 2 \nL 3 4 \nL 5 6 \nC 1 2 3 4 5 6 \nL 3 4 \nz \nM 0 0 \nL -1 1"/>'
    ) == ('<path d="M1 2 3 4 5 6 C1 2 3 4 5 6 L3 4 z M0 0 -1 1"/>')


def test_a_slim_figure_is_the_whole_one(figures):
    """Element by element: the same texts and styles, the same thing referred to, places within a hundredth."""
    assert len(figures) >= 4
    for whole in figures:
        slim = slim_svg(whole)
        assert len(slim) < 0.6 * len(whole)
        rules = dict(re.findall(r"\.(s\d+)\{(.*?)\}", slim))
        names: dict[str, str] = {}
        for old, new in zip(_drawn(whole), _drawn(slim), strict=True):
            assert old.tag == new.tag
            if not old.tag.endswith("}style"):
                assert (old.text or "").strip() == (new.text or "").strip()
            assert old.get("style") == rules.get(new.get("class"), new.get("style"))
            if new.get("id"):
                names[old.get("id")] = new.get("id")
            if link := old.get(_LINK):
                assert names[link[1:]] == new.get(_LINK)[1:]
            for place in _PLACES:
                _assert_near(_NO_TURN.sub("", old.get(place, "")), new.get(place, ""))


def _drawn(svg: str) -> list[ET.Element]:
    """List the elements but groups."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return [each for each in root.iter() if not each.tag.endswith("}g")]


def _assert_near(old: str, new: str) -> None:
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    assert all(abs(float(one) - float(other)) < 0.01 for one, other in pairs)
    assert re.sub(r"[^A-KN-Zz]", "", old) == re.sub(r"[^A-KN-Zz]", "", new)  # but for M and L
