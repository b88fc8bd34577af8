"""A figure of Matplotlib in half its bytes, drawn the same: pages of many figures are read over a network."""

from __future__ import annotations

import re

_ID = re.compile(r'\s*\bid="([^"]*)"')
_REFERENCE = re.compile(r'(?<=href="#)[^"]+|(?<=url\(#)[^)]+')
_STYLE = re.compile(r'\bstyle="([^"]*)"')
_PLACE = re.compile(r'\b(?:d|x|y|transform|points)="[^"]*"')
_DIGITS_UNSEEN = re.compile(r"(\.\d\d)\d+")
"""Of a coordinate, in points: a hundredth is a tenth of a pixel at eight times the size."""
_ZEROS = re.compile(r"\.0+(?!\d)|(?<=\.\d)0(?!\d)")
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^)]*\)"')

_PATH = re.compile(r'\bd="([^"]*)"')
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_GROUP = re.compile(r"(<g>|<g (?![^>]*/>)|</g>)")

_DEFINITIONS = re.compile(r"(<defs>.*?</defs>)", re.DOTALL)
_STYLE_SHEET = re.compile(r'(<style type="text/css">)(.*?)(?=</style>)', re.DOTALL)


def slim_svg(svg: str) -> str:
    """Return an SVG document or element of Matplotlib without what no eye sees.

    Ids that nothing refers to are dropped, the others numbered; a style is written once, in the figure's style
    sheet, as a class; coordinates keep two decimals, and groups are those that have a title or an attribute.
    What is read or heard (texts, titles of marks) is as it was.
    """
    svg = _PATH.sub(_shortened, _PLACE.sub(_rounded, _NO_TURN.sub("", svg)))
    return _without_groups(_without_blanks(_with_classes(_with_few_ids(svg))))


def _rounded(attribute: re.Match[str]) -> str:
    return _ZEROS.sub("", _DIGITS_UNSEEN.sub(r"\1", " ".join(attribute[0].split())))


def _shortened(path: re.Match[str]) -> str:
    """Leave out the command of a line that follows a line, or a beginning: it is understood."""
    parts, before = list[str](), ""
    for command, numbers in _COMMAND.findall(path[1]):
        is_understood = command == "L" and before in {"M", "L"}
        parts.append(numbers.strip() if is_understood else f"{command}{numbers.strip()}")
        before = command
    return f'd="{" ".join(parts)}"'


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


def _without_groups(svg: str) -> str:
    """Open groups that neither say nor set anything: without attributes and without a title."""
    kept, parts = list[bool](), _GROUP.split(svg)
    for place in range(1, len(parts), 2):
        tag = parts[place]
        if tag != "</g>":
            kept.append(tag != "<g>" or parts[place + 1].startswith("<title>"))
        if not (kept.pop() if tag == "</g>" else kept[-1]):
            parts[place] = ""
    return "".join(parts)
