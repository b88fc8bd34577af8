"""Values on hover: titles of marks, which a saved SVG holds as elements and a browser shows without a script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape, unescape

from matplotlib.artist import Artist

from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import Cell
from analysis.text.number_text import with_error

_PREFIX = "titles: "
_GROUP = re.compile(rf"""<g id=(?:"{_PREFIX}([^"]*)"|'{_PREFIX}([^']*)')>""")
"""Of either quote: Matplotlib takes the one that the text does not hold."""
_MARK = re.compile(r"<use ([^>]*)/>")


def set_titles(artist: Artist, titles: Sequence[str]) -> None:
    """Name the marks of an artist, one title each, in the order in which they are drawn."""
    artist.set_gid(_PREFIX + "\n".join(titles))


def cell_title(cell: Cell, text: str) -> str:
    """Return the title of a mark of a cell."""
    return f"batch size {cell.batch_size}, learning rate {cell.learning_rate:g}: {text}"


def value_title(cell: Cell, symbol: str, estimate: Uncertain) -> str:
    """Return the title of a mark that shows an estimate."""
    return cell_title(cell, f"{symbol} {with_error(estimate)}")


def with_titles(svg: str) -> str:
    """Put the titles of `set_titles` into an SVG document of Matplotlib, in place of the ids that held them.

    An artist of one title has it as a whole; one of several has one in each of its marks. Where marks lie
    outside the axes, so that it is not known which are drawn, the artist has none.
    """
    head, *rest = _GROUP.split(svg)
    groups = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    return head + "".join(
        _titled(unescape(one or other).split("\n"), body) for one, other, body in groups
    )


def _titled(titles: Sequence[str], body: str) -> str:
    elements = [f"<title>{escape(title, quote=False)}</title>" for title in titles]
    if len(elements) == 1:
        return f"<g>{elements[0]}{body}"
    own, following = _own_part(body)
    if len(_MARK.findall(own)) != len(elements):
        return f"<g>{body}"
    remaining = iter(elements)
    return f"<g>{_MARK.sub(lambda mark: f'<use {mark[1]}>{next(remaining)}</use>', own)}{following}"


def _own_part(body: str) -> tuple[str, str]:
    """Split what follows the opening of a group where the next group with an id begins."""
    end = body.find('<g id="')
    return (body, "") if end < 0 else (body[:end], body[end:])
