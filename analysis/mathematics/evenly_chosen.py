"""Some of many, evenly chosen by their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly_chosen(items: Sequence[Item], most: int) -> list[Item]:
    """Choose at most so many, first and last included, evenly by their place."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
