"""The values of one whole-model quantity in every cell, seed by seed, from one statistic."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.mathematics.soundness import is_sound
from analysis.records.cell import CELL_COLUMNS, Cell, cells_of
from analysis.records.load import SweepData
from analysis.records.seed_values import SeedValues
from analysis.records.series import Series

BN_MODE = "frozen"
"""Cells and Table 1 use what was measured with recomputed population statistics."""

WINDOW_QUANTITIES = (
    "excess_loss",
    "harmonic_excess_loss",
    "expected_gradient_norm_squared",
    "batch_gradient_norm_squared",
)
"""Measured in windows of SGD steps; the index of a fork's window is its last step."""

EXCURSION_QUANTITIES = (
    *WINDOW_QUANTITIES,
    "velocity_norm_squared",
    "fluctuation_dissipation_ratio",
    "fluctuation_dissipation_gap",
    "direction_variance",
    "direction_noise",
)
"""Measured on the total objective alone, which is the one that SGD descends."""


def whole_model_values(
    data: SweepData,
    quantity: str,
    *,
    objective: str = "data",
    split: str = "train",
    bn_mode: str = BN_MODE,
) -> dict[Cell, SeedValues]:
    """Collect a whole-model quantity, measured in one mode of batch normalisation, by cell and seed.

    If several statistics measure it in a cell, the first listed under `measure` counts. Of a
    quantity with an index the first value counts (eigenvalues), unless there is one of the whole
    (halves of a run); of windows of steps the longest counts. Of batches those count that are as
    large as SGD's.
    """
    found = data.whole_model.of(quantity, bn_mode=bn_mode, split=split, objective=objective)
    listed = data.statistic_ids
    return {
        cell: one.values
        for cell, its in found.items()
        if (one := _chief(its, quantity, cell.batch_size, listed)) is not None
    }


def _chief(
    series: Sequence[Series], quantity: str, batch_size: int, listed: Sequence[str]
) -> Series | None:
    """Return the series that counts, of the statistic listed first that has one."""
    drawn = [each for each in series if each.is_as_drawn(batch_size)]
    for statistic_id in sorted({each.statistic_id for each in drawn}, key=listed.index):
        its = [each for each in drawn if each.statistic_id == statistic_id]
        if (one := _of_one_index(its, quantity)) is not None:
            return one
    return None


def _of_one_index(series: Sequence[Series], quantity: str) -> Series | None:
    by_index = {each.index: each for each in series}
    if None in by_index:
        return by_index[None]
    indices = [index for index in by_index if index is not None]
    return by_index.get(max(indices) if quantity in WINDOW_QUANTITIES else 0)


def layer_means(data: SweepData, quantity: str) -> dict[Cell, dict[str, float]]:
    """Average a quantity of every layer over seeds, layers in the order they were measured."""
    rows = data.measurements
    rows = rows[
        (rows["quantity"] == quantity)
        & (rows["bn_mode"] == BN_MODE)
        & (rows["split"] == "train")
        & (rows["objective"] == "data")
        & rows["layer"].notna()
        & is_sound(rows["value"])
    ]
    ranks = {identity: place for place, identity in enumerate(data.statistic_ids)}
    rows = rows.assign(place=rows["statistic_id"].map(ranks).astype(int))
    rows = rows[
        rows["place"] == rows.groupby(CELL_COLUMNS, observed=True)["place"].transform("min")
    ]
    found = (
        rows.groupby([*CELL_COLUMNS, "layer"], sort=False, observed=True)["value"]
        .mean()
        .reset_index()
    )
    means: dict[Cell, dict[str, float]] = {}
    for cell, layer, value in zip(
        cells_of(found), found["layer"].tolist(), found["value"].tolist(), strict=True
    ):
        means.setdefault(cell, {})[layer] = value
    return {cell: means[cell] for cell in sorted(means)}
