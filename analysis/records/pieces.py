"""The measurements of a sweep, some cells at a time: what goes through them so stays small, however many they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.records.cell import CELL_COLUMNS
from analysis.records.load import SweepData
from analysis.records.once import once

_ROWS = 200_000
"""Of a piece, and up to a cell more; arrays of so many stay in a processor's caches and in memory that is used again."""


def pieces(data: SweepData, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield columns of all measurements in pieces of whole cells, in the order of the cells.

    Within a cell rows are in the order of `measurements`. Without any there is one piece, of no rows.
    """
    rows = data.measurements[[*columns]]
    order, edges = _layout(data)
    for start, end in pairwise(edges):
        piece = rows.iloc[start:end] if order is None else rows.iloc[order[start:end]]
        if "trial_id" in columns:  # which has far more words than a piece has
            piece = piece.assign(trial_id=_of_own_words(piece["trial_id"]))
        yield piece


def _of_own_words(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Forget the words that no row has, as what is done with texts goes through all their words."""
    is_coded = isinstance(texts.dtype, pd.CategoricalDtype)
    return texts.cat.remove_unused_categories() if is_coded else texts


@once
def _layout(data: SweepData) -> tuple[npt.NDArray[np.int64] | None, list[int]]:
    """Find the order of rows by cell, None where they are in it, and where the pieces begin and the last one ends."""
    cells = data.measurements.groupby(CELL_COLUMNS, sort=True, observed=True).ngroup().to_numpy()
    ends = np.cumsum(np.bincount(cells, minlength=1))
    is_last = np.diff(ends // _ROWS, append=-1) != 0
    order = None if np.all(np.diff(cells) >= 0) else np.argsort(cells, kind="stable")
    return order, [0, *ends[is_last].tolist()]
