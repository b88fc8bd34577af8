"""A figure of Matplotlib in half its bytes, drawn the same: a page of many figures is read over a network."""

from __future__ import annotations

import re

_ID = re.compile(r'\s*\bid="([^"]*)"')
_REFERENCE = re.compile(r'(?<=href="#)[^"]+|(?<=url\(#)[^)]+')
_STYLE = re.compile(r'\bstyle="([^"]*)"')
_PLACE = re.compile(r'\b(?:d|x|y|transform|points)="[^"]*"')
_DIGITS_UNSEEN = re.compile(r"(\.\d\d)\d+")
"""Of a coordinate, in points: a hundredth is a tenth of a pixel at eight-fold size."""

_DEFINITIONS = re.compile(r"(<defs>.*?</defs>)", re.DOTALL)
_STYLE_SHEET = re.compile(r'(<style type="text/css">)(.*?)(?=</style>)', re.DOTALL)


def slim_svg(svg: str) -> str:
    """Return an SVG element of Matplotlib without what no eye sees.

    Ids that nothing refers to are dropped, the others numbered; a style is written once, in the figure's style
    sheet, as a class; coordinates keep two decimals; between elements stands no blank. What is read or heard
    (texts, titles of marks) is as it was.
    """
    return _without_blanks(_with_classes(_with_few_ids(_PLACE.sub(_rounded, svg))))


def _rounded(attribute: re.Match[str]) -> str:
    return _DIGITS_UNSEEN.sub(r"\1", re.sub(r"\s+", " ", attribute[0]))


def _with_few_ids(svg: str) -> str:
    numbers = {name: f"n{i}" for i, name in enumerate(dict.fromkeys(_REFERENCE.findall(svg)))}
    svg = _ID.sub(lambda id: f' id="{numbers[id[1]]}"' if id[1] in numbers else "", svg)
    return _REFERENCE.sub(lambda name: numbers[name[0]], svg)


def _with_classes(svg: str) -> str:
    """Put styles into the style sheet; definitions keep theirs, as browsers differ in what styles their copies."""
    if not _STYLE_SHEET.search(svg):
        return svg
    classes: dict[str, str] = {}

    def named(style: re.Match[str]) -> str:
        return f'class="{classes.setdefault(style[1], f"s{len(classes)}")}"'

    parts = _DEFINITIONS.split(svg)
    parts[::2] = [_STYLE.sub(named, part) for part in parts[::2]]
    rules = "".join(f".{name}{{{text}}}" for text, name in classes.items())
    return _STYLE_SHEET.sub(lambda sheet: sheet[1] + sheet[2] + rules, "".join(parts), count=1)


def _without_blanks(svg: str) -> str:
    return re.sub(r"(?<=>)\s*\n\s*(?=<)", "", svg)
