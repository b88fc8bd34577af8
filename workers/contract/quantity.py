"""One measured quantity: its name with symbol, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One name of the glossary.

    Attributes:
        name: As written in Parquet, Python, YAML and prose.
        symbol: As written in formulas and plot labels.
        unit: "loss" is the unit of the mean loss, "parameter" of the weights.
        meaning: One sentence.
    """

    name: str
    symbol: str
    unit: str
    meaning: str
