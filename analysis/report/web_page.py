"""HTML written by hand, with every text escaped."""

from __future__ import annotations

import re
from html import escape

from analysis.text.text_table import TextTable

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --paper: #ffffff; --soft: #5c5c66;
  --line: #d8d8de; --shade: #f4f4f7; --good: #00664a; --bad: #a84300; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e9ee; --paper: #17171a; --soft: #a9a9b4;
  --line: #3a3a42; --shade: #222227; --good: #4fc79f; --bad: #ff9a5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem 1rem 4rem; max-width: 70rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 0.4rem; }
p, li { max-width: 46rem; }
.note, figcaption { color: var(--soft); font-size: 0.875rem; }
.note { margin: 0.25rem 0; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; margin: 0.4rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { background: var(--shade); font-weight: 600; }
.left { text-align: left; } .wrap { white-space: normal; min-width: 16rem; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
figure { margin: 1rem 0 1.8rem; }
figure .scroll { background: #ffffff; border: 1px solid var(--line); border-radius: 6px;
  padding: 0.5rem; }
figure svg { display: block; width: 100%; min-width: 36rem; height: auto; }
pre { overflow-x: auto; background: var(--shade); padding: 0.75rem; border-radius: 6px;
  font-size: 0.8125rem; }
a { color: inherit; }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""

_LONG_TEXT = 40


def page(title: str, body: str) -> str:
    """Return a whole document that loads nothing from elsewhere."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a section with a heading; the parts are HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, *, kind: str = "") -> str:
    """Return a text as a paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(texts: list[str]) -> str:
    """Return texts as a bulleted list."""
    return "<ul>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ul>"


def code(text: str) -> str:
    """Return a text as it is, preformatted."""
    return f"<pre><code>{escape(text)}</code></pre>"


def links(pages: list[tuple[str, str]]) -> str:
    """Return a list of links by text and address; nothing is loaded from them."""
    items = (f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for text, address in pages)
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def header(title: str, *parts: str) -> str:
    """Return the head of the page's body; the parts are HTML."""
    return f"<header>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</header>"


def folded(summary: str, content: str) -> str:
    """Return HTML that is hidden until its summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def table(content: TextTable) -> str:
    """Return a table that scrolls sideways on a narrow screen."""
    head = "".join(
        f'<th scope="col"{_kind(content, place)}>{escape(text)}</th>'
        for place, text in enumerate(content.columns)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_kind(content, place, text)}>{escape(text)}</td>"
            for place, text in enumerate(row)
        )
        + "</tr>"
        for row in content.rows
    )
    notes = "".join(f'\n<p class="note">{escape(note)}</p>' for note in content.notes)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(content.title)}">'
        f"<table><caption>{escape(content.title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div>{notes}"
    )


def figure(name: str, title: str, caption: str, svg: str) -> str:
    """Return an SVG document as a figure of the page, its names made unique to it."""
    return (
        f'<figure>\n<h3>{escape(title)}</h3>\n<div class="scroll" tabindex="0" role="group" '
        f'aria-label="{escape(title)}">{inline_svg(svg, name, title)}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def inline_svg(document: str, name: str, label: str) -> str:
    """Return an SVG document of Matplotlib as an element of a page.

    Ids are prefixed with the figure's name, so that several figures fit in one page; the style
    sheet is confined to the figure; what does not belong in a page (prologue, metadata) is left
    out.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = svg.replace('<style type="text/css">*{', f'<style type="text/css">#{name} *{{')
    head = f'<svg id="{name}" role="img" aria-label="{escape(label)}"'
    return svg.replace("<svg", head, 1).strip()


def _kind(content: TextTable, place: int, text: str = "") -> str:
    kinds = ["left"] if place < content.num_left else []
    if len(text) > _LONG_TEXT:
        kinds = ["left", "wrap"]
    return f' class="{" ".join(kinds)}"' if kinds else ""
