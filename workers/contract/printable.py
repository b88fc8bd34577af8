"""Text from anywhere made fit for a terminal: what would steer it is shown, and does nothing."""

from __future__ import annotations

import re

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line feed, marks that turn the direction of writing, halves of surrogates."""


def printable(text: str) -> str:
    r"""Return a text with each character that steers a terminal written as its escape, such as \x1b."""
    return _STEERING.sub(_escaped, text)


def on_one_line(text: str) -> str:
    """Return a text as `printable` does, with line feeds and tabs shown as ⏎ and ⇥."""
    return printable(text).replace("\n", "⏎").replace("\t", "⇥")


def printable_json(text: str) -> str:
    """Return a JSON document of the same value in which no character steers a terminal."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
