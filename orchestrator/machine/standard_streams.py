"""Standard input, output and error as a command needs them: open, and able to take any text."""

from __future__ import annotations

import io
import os
import sys

_PLAIN = {
    "×": "x", "±": "+-", "−": "-", "–": "-", "—": "-", "─": "-", "·": ".", "…": "...", "≤": "<=",
    "“": '"', "”": '"', "²": "^2", "η": "eta", "σ": "sigma", "λ": "lambda", "θ": "theta", "∇": "grad ",
    **dict(zip("⁰¹³⁴⁵⁶⁷⁸⁹", "013456789", strict=True)), "⁻": "^-",
}  # fmt: skip
"""What stands for a sign of tables and formulas where a stream cannot take it."""


def writable(text: str, encoding: str) -> str:
    """Return a text of ours with the signs that an encoding lacks spelled in ASCII."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_in(encoding, character) for character in text)
    return text


def _in(encoding: str, character: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(character, character)
    return character


def mend_standard_streams() -> None:
    """Open closed streams to the null device, and escape characters that the locale lacks.

    Closed streams are opened in the order of their numbers, so that each gets its own, for children
    too: else a file opened later would take the number, and receive what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123
            os.set_inheritable(nowhere.fileno(), True)  # noqa: FBT003  # it takes no keywords
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
