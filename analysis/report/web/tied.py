"""Spaces that must not break: between a number and its unit, within a number with its error, about an equals sign."""

from __future__ import annotations

import re

SPACE = "\u00a0"

_UNITS = (
    "%|cells?|seeds?|core-hours|GPU-hours|hours|minutes|epochs?|trials?|steps?|examples|training|times|"
    "directions|streams|layers|panels?|nodes?|decades|years"
)
_NAMES = (
    "Eq|Theorem|Table|Tables|Figure|Figures|BS|LR|BS/LR|seed|seeds|epoch|T =|η =|N =|p =|±|×|≥|≤"
)
_TIES = (
    re.compile(rf"(?<=\d) (?=(?:{_UNITS})(?![\w-]))"),
    re.compile(rf"(?<![\w/])((?:{_NAMES})) (?=[−-]?[\d?])"),
    re.compile(r"(?<=[\d?)⁰¹²³⁴⁵⁶⁷⁸⁹]) (?=[±×])"),
    re.compile(r"(?<=\S) = (?=\S)"),
    re.compile(r"(?<=\d) (?=\[[−-]?[\d?])"),
    re.compile(r"(?<=\d,) (?=[−-]?[\d.,]+(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?\])"),
)


def tied(text: str) -> str:
    """Return a text whose numbers stay with their units, errors, intervals and names on one line."""
    for tie in _TIES:
        text = tie.sub(lambda found: found[0].replace(" ", SPACE), text)
    return text
