"""What was measured of the whole model in every cell, each quantity as one series over the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mathematics.soundness import is_sound
from analysis.mathematics.uncertain import Uncertain
from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.seed_values import SeedValues
from workers.contract.method_text import batch_size_of

_LABELS = [
    "statistic", "statistic_id", "quantity", "bn_mode", "split", "objective", "index", "probed_batch_size",
]  # fmt: skip
_NUMBERS = ["value", "stderr", "num_samples"]


@dataclass(frozen=True, eq=False)
class Series:
    """One whole-model quantity of one cell as one statistic states it: a sound value a seed.

    Attributes:
        statistic: Its name.
        statistic_id: Its identity.
        quantity: As in the view `measurements`, with the columns beside it there.
        bn_mode: What batch norm normalised by.
        split: Of the data set.
        objective: `data` or `total`.
        index: Of a quantity that has one, such as the eigenvalues; else None.
        probed_batch_size: Of a method that draws batches of several sizes; else None.
        seeds: Sorted [n].
        numbers: Value, stderr and num_samples [n, 3].
    """

    statistic: str
    statistic_id: str
    quantity: str
    bn_mode: str
    split: str
    objective: str
    index: int | None
    probed_batch_size: int | None
    seeds: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]

    @cached_property
    def values(self) -> SeedValues:
        """The values by seed; degrees of freedom are num_samples - 1, an error of 0 is that of an exact value."""
        errors = {
            seed: Uncertain(value, stderr, math.inf if stderr == 0 else num_samples - 1)
            for seed, (value, stderr, num_samples) in zip(
                self.seeds.tolist(), self.numbers.tolist(), strict=True
            )
        }
        by_seed = {seed: each.value for seed, each in errors.items()}
        return SeedValues(self.statistic_id, self.statistic, by_seed, errors)

    def is_as_drawn(self, batch_size: int) -> bool:
        """Whether its batches, where batch norm makes it depend on any, are of the size that SGD draws."""
        return self.bn_mode != "batch" or self.probed_batch_size in {None, batch_size}

    @property
    def is_exact(self) -> bool:
        """Whether the error of every seed's value is 0."""
        return bool((self.numbers[:, 1] == 0).all())


@dataclass(frozen=True)
class WholeModel:
    """All series of a sweep.

    Attributes:
        by_cell: Those of a cell in the order of their records; cells are sorted.
    """

    by_cell: Mapping[Cell, Sequence[Series]]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str, str], dict[Cell, list[Series]]]:
        found: dict[tuple[str, str, str, str], dict[Cell, list[Series]]] = {}
        for cell, its in self.by_cell.items():
            for each in its:
                place = (each.quantity, each.bn_mode, each.split, each.objective)
                found.setdefault(place, {}).setdefault(cell, []).append(each)
        return found

    def of(
        self, quantity: str, *, bn_mode: str, split: str, objective: str
    ) -> Mapping[Cell, Sequence[Series]]:
        """Return the series of one quantity in the cells that have any, of all statistics and indices."""
        return self._by_place.get((quantity, bn_mode, split, objective), {})


def whole_model(measurements: pd.DataFrame) -> WholeModel:
    """Arrange the sound rows of whole models in one pass."""
    rows = measurements[measurements["layer"].isna() & is_sound(measurements["value"])]
    rows = rows.assign(probed_batch_size=sizes_named(rows["method"], batch_size_of))
    number = (
        rows.groupby([*CELL_COLUMNS, *_LABELS], sort=False, dropna=False, observed=True)
        .ngroup()
        .to_numpy()
    )
    order = np.lexsort((rows["seed"].to_numpy(), number))
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    first = rows.iloc[order[starts]]
    numbers = rows[_NUMBERS].to_numpy(np.float64)[order]
    seeds = rows["seed"].to_numpy(np.int64)[order]
    ends = np.flatnonzero(np.diff(number[order], append=-1)) + 1
    found: dict[Cell, list[Series]] = {}
    for cell, labels, start, end in zip(
        cells_of(first), _labels(first), starts.tolist(), ends.tolist(), strict=True
    ):
        series = Series(**labels, seeds=seeds[start:end], numbers=numbers[start:end])
        found.setdefault(cell, []).append(series)
    return WholeModel({cell: found[cell] for cell in sorted(found)})


def _labels(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the labels of each row; numbers are whole, or None."""
    columns: list[list[object]] = [rows[name].tolist() for name in _LABELS[:-2]]
    for name in _LABELS[-2:]:
        numbers = rows[name].tolist()
        columns.append([None if math.isnan(number) else int(number) for number in numbers])
    return [dict(zip(_LABELS, row, strict=True)) for row in zip(*columns, strict=True)]


def sizes_named(
    methods: pd.Series[str], size_of: Callable[[str], int | None]
) -> npt.NDArray[np.float64]:
    """Return the sizes that methods name [n], of batches or of a subset; NaN where none is named."""
    codes, names = pd.factorize(methods)
    sizes = np.array([size_of(name) for name in names], dtype=np.float64)
    return sizes[codes]
