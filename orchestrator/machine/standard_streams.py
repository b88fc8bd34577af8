"""Standard input, output and error as a command needs them: open, and able to take any text."""

from __future__ import annotations

import io
import os
import re
import sys

_PLAIN = {
    "×": "x", "±": "+-", "−": "-", "–": "-", "—": "-", "─": "-", "·": ".", "…": "...", "≤": "<=",
    "“": '"', "”": '"', "η": "eta", "σ": "sigma", "λ": "lambda", "θ": "theta", "∇": "grad ",
}  # fmt: skip
"""What stands for a sign of tables and formulas where a stream cannot take it."""

_POWER = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def writable(text: str, encoding: str) -> str:
    """Return a text of ours with the signs that an encoding lacks spelled in ASCII."""
    if _has(encoding, text):
        return text
    text = _POWER.sub(lambda found: _power_in(encoding, found[0]), text)
    return "".join(each if _has(encoding, each) else _PLAIN.get(each, each) for each in text)


def _power_in(encoding: str, power: str) -> str:
    return power if _has(encoding, power) else f"^{power.translate(_DIGITS)}"


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


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
