"""A figure of Matplotlib as an element of a page."""

from __future__ import annotations

import re
from html import escape
from zlib import crc32

_OF_THE_PAGE = {"#000000": "--ink", "#ffffff": "--paper", "#dddddd": "--line"}
"""Colours of figures that are the page's own, by its CSS variables."""


def inline_svg(document: str, name: str, label: str) -> str:
    """Return an SVG document of Matplotlib as an element of a page.

    Ids are prefixed with a hash of the figure's name, so that several figures fit in one page, and
    thousands of references to marks are short; the style sheet is confined to the figure; what does not
    belong in a page (prologue, metadata, the document's own title) is left out. Titles of marks stay: they
    give values on hover. Ink, paper and grid take the page's colours, dark in the dark.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\A(<svg[^>]*>\s*)<title>.*?</title>", r"\1", svg, flags=re.DOTALL)
    svg = svg.replace(" xlink:href=", " href=")  # as HTML has it
    prefix = f"f{crc32(name.encode()):x}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}", svg)
    svg = re.sub(r"<style[^>]*>.*?</style>", lambda sheet: _confined(sheet[0], name), svg, count=1)
    for color, variable in _OF_THE_PAGE.items():
        svg = re.sub(rf": {color}\b", f": var({variable}, {color})", svg)
    head = f'<svg id="{name}" fill="currentColor" role="img" aria-label="{escape(label)}"'
    return svg.replace("<svg", head, 1).strip()


def _confined(sheet: str, name: str) -> str:
    return re.sub(r"(?<=[>}])(?=[*.])", f"#{name} ", sheet)
