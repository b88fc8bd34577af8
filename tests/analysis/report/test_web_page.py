from __future__ import annotations

from analysis.report import web_page
from analysis.text.text_table import TextTable

_SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg">'
    '<metadata><x/></metadata><defs><style type="text/css">*{a: b}</style>'
    '<clipPath id="p1"></clipPath></defs><use href="#p1"/><g clip-path="url(#p1)"/></svg>\n'
)


def test_every_text_is_escaped():
    """Names and messages from outside cannot become markup."""
    bad = '<script>alert("x")</script> & more'
    table = TextTable(bad, (bad,), ((bad,),), (bad,))
    for html in (
        web_page.page(bad, ""),
        web_page.header(bad),
        web_page.section(bad),
        web_page.paragraph(bad),
        web_page.paragraph(bad, kind="note"),
        web_page.bullets([bad]),
        web_page.code(bad),
        web_page.links([(bad, bad)]),
        web_page.folded(bad, ""),
        web_page.table(table),
        web_page.figure("name", bad, bad, _SVG),
    ):
        assert "<script" not in html
        assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; more" in html


def test_two_figures_share_no_names():
    """Ids, references and styles of an inline SVG are its own."""
    svg = web_page.inline_svg(_SVG, "one", "the label")
    assert svg.startswith('<svg id="one" role="img" aria-label="the label"')
    assert 'id="one-p1"' in svg
    assert 'href="#one-p1"' in svg
    assert "url(#one-p1)" in svg
    assert "#one *{a: b}" in svg
    assert "metadata" not in svg
    assert "<?xml" not in svg


def test_columns_of_texts_are_aligned_to_the_left():
    """The first `num_left` columns; long texts may wrap."""
    table = TextTable("t", ("a", "b"), (("x", "y" * 50),), num_left=1)
    html = web_page.table(table)
    assert '<td class="left">x</td>' in html
    assert '<td class="left wrap">' in html
