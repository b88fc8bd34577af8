"""A claim of the paper with its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        name: Short and stable.
        statement: The claim in a sentence, with the rule by which it is judged.
        source: Where the paper says it, in the paper's words where these are known.
        verdict: `holds`, `fails` or `undecided`.
        groups: Verdicts of the parts, by what is fixed in each: "BS 100".
        numbers: What the verdict rests on, or why there is none.
    """

    name: str
    statement: str
    source: str
    verdict: str
    groups: dict[str, str]
    numbers: str


def overall(verdicts: Iterable[str]) -> str:
    """Judge a whole by its parts: it holds where all hold, and fails where one fails."""
    found = set(verdicts)
    if "fails" in found:
        return "fails"
    return "holds" if found == {"holds"} else "undecided"
