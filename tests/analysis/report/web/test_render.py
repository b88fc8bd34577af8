from __future__ import annotations

import re

import pytest

from analysis.report.web.first_screen import Finding, FirstScreen, Forest, ForestMark
from analysis.report.web.inline_svg import inline_svg
from analysis.report.web.page import (
    Bullets,
    Code,
    FigurePart,
    Folded,
    Links,
    Page,
    Paragraph,
    Section,
    Switch,
    Table,
)
from analysis.report.web.render import render_page, render_still
from analysis.text.text_table import TextTable

_SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg">\n'
    '<title>of the document</title><metadata><x/></metadata><defs><style type="text/css">*{a: b}</style>'
    '<clipPath id="p1"></clipPath></defs><use xlink:href="#p1"/><g clip-path="url(#p1)"/>'
    "<g><title>3.2 at BS 32</title></g></svg>\n"
)
_BAD = '<script>alert("x")</script> & more'


def test_every_text_is_escaped():
    """Names and messages from outside cannot become markup, wherever they stand."""
    table = TextTable(_BAD, (_BAD,), ((_BAD,),), (_BAD,))
    parts = [
        Paragraph(_BAD), Paragraph(_BAD, "note"), Bullets([_BAD]), Code(_BAD), Links([(_BAD, _BAD)]),
        Table(table, switches=(Switch(_BAD, ((_BAD, _BAD),)),)), FigurePart("name", _BAD, _BAD, _SVG, _BAD),
        Folded(_BAD, [Paragraph(_BAD)]),
    ]  # fmt: skip
    forest = Forest(_BAD, [ForestMark(_BAD, 1.0, None, None, _BAD)])
    answer = FirstScreen(
        [Finding(_BAD, _BAD, _BAD, _BAD)], [_BAD], forest, _BAD, is_complete=True, cost=_BAD
    )
    html = render_page(Page(_BAD, {_BAD: answer}, [Section(_BAD, parts)]))
    assert html.count("<script") == 1  # our own
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; more") > 25


def test_the_first_screen_asks_answers_and_says_how_it_was_measured():
    """The question before the laws, how it was measured behind them."""
    screen = FirstScreen(
        [Finding("It misses", "law", "fails")], [], None, "done", is_complete=True, cost="c",
        question="Which law?", summary="None.", measured="Excess loss: 16 steps.",
    )  # fmt: skip
    html = render_page(Page("t", {"t": screen}, [])).replace("\N{NO-BREAK SPACE}", " ")
    said = [
        html.index(text) for text in ("Which law?", "None.", "Numbers:", "It misses", "16 steps")
    ]
    assert said == sorted(said)


def test_two_figures_share_no_names():
    """Ids, references and styles of an inline SVG are its own; titles of marks stay for the hover."""
    svg = inline_svg(_SVG, "one", "the label")
    assert svg.startswith('<svg id="one" fill="currentColor" role="img" aria-label="the label"')
    (prefix,) = set(re.findall(r"(\w+)-p1\b", svg))
    assert f'id="{prefix}-p1"' in svg
    assert f' href="#{prefix}-p1"' in svg
    assert f"url(#{prefix}-p1)" in svg
    assert f"{prefix}-p1" not in inline_svg(_SVG, "two", "the label")
    assert "#one *{a: b}" in svg
    assert "metadata" not in svg
    assert "<?xml" not in svg
    assert "of the document" not in svg
    assert "<title>3.2 at BS 32</title>" in svg


def test_where_no_script_runs_nothing_is_to_press():
    """A notebook gets the same table without buttons."""
    html = render_still(Table(TextTable("t", ("a",), (("1",), ("2",)))))
    assert "<td" in html
    assert "<button" not in html
    assert "<input" not in html


def test_the_forest_puts_equality_and_bounds_where_they_belong():
    """Positions are shares of the logarithm: 1 lies midway between 1/k and k."""
    forest = Forest(
        "t", [ForestMark("a", 0.1, 0.05, 0.2, "0.1"), ForestMark("b", 10.0, 5.0, 20.0, "10")]
    )
    assert forest.percent(1) == pytest.approx(50)
    assert forest.percent(0.1) + forest.percent(10) == pytest.approx(100)
    assert forest.percent(0) == 0
    start, width = forest.band
    assert start < 50 < start + width
    assert [text for _, text in forest.ticks] == ["0.1", "1", "10"]


def test_a_bound_that_says_nothing_does_not_squeeze_the_forest():
    """One interval of 300 decades leaves the axis to the others."""
    forest = Forest(
        "t", [ForestMark("a", 1.0, 1e-150, 1e150, "?"), ForestMark("b", 2.0, 1.8, 2.2, "2")]
    )
    low, high = forest.limits
    assert low > 0.01
    assert high < 100
    assert (forest.percent(1e-150), forest.percent(1e150)) == (0, 100)


def test_a_figure_takes_the_pages_ink_paper_and_lines():
    """Text without a colour too; colours of data stay."""
    svg = inline_svg(
        '<svg width="1"><style type="text/css">*{}.s0{fill: #ffffff; stroke: #000000}</style>'
        '<path class="s0"/><path style="stroke: #dddddd"/><path style="stroke: #0072b2"/></svg>',
        "one",
        "x",
    )
    assert "#one .s0{fill: var(--paper, #ffffff); stroke: var(--ink, #000000)}" in svg
    assert "stroke: var(--line, #dddddd)" in svg
    assert "stroke: #0072b2" in svg
    assert 'fill="currentColor"' in svg
