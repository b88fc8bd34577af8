"""Which of several measurements of one quantity stands for it where there is room for one alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.records.cell_values import WINDOW_QUANTITIES
from analysis.records.series import sizes_named
from workers.contract.method_text import batch_size_of
from workers.contract.plan_document import PlanDocument

_VARIANT = ["statistic_id", "kind", "bn_mode", "split", "objective", "index"]
"""What tells several measurements of one quantity apart; the kind is a method whatever its batch size."""

_ORDER = ["is_other_split", "is_other_objective", "mode", "place_listed", "place", "kind"]
_MODES = {"frozen": 0, "moving_average": 1, "batch": 2}


def leading_rows(
    rows: pd.DataFrame, plan: PlanDocument, *, objective: str = "data", split: str = "train"
) -> pd.DataFrame:
    """Return the rows of the whole model of each quantity's leading variant, one for all cells.

    It is the first that has a value anywhere, in this order: the given split, the given objective,
    frozen batch normalisation, the plan's order of statistics, the value of the whole before that of
    an index, the first index (of windows of steps the last).

    Args:
        rows: Of `cell_measurements`, or rows of `measurements` with a column `mean`.
        plan: The sweep's.
        objective: The one preferred.
        split: The one preferred.
    """
    whole = rows[rows["layer"].isna() & rows["mean"].notna()]
    return rows_of_leading_variant(whole, plan, objective=objective, split=split)


def rows_of_leading_variant(
    rows: pd.DataFrame, plan: PlanDocument, *, objective: str = "data", split: str = "train"
) -> pd.DataFrame:
    """Return the rows of each quantity's leading variant, whatever layers they are of."""
    rows = of_own_batches(rows)
    listed = {item.statistic_id: place for place, item in enumerate(plan.statistics)}
    index = rows["index"].astype(float)
    is_window = rows["quantity"].isin(WINDOW_QUANTITIES)
    ranked = rows.assign(
        is_other_split=rows["split"] != split,
        is_other_objective=rows["objective"] != objective,
        mode=rows["bn_mode"].map(_MODES),
        place_listed=rows["statistic_id"].map(listed),
        place=index.where(~is_window, -index).where(index.notna(), -float("inf")),
        kind=rows["method"].map({name: _kind(name) for name in rows["method"].unique()}),
        index=index,
    )
    best = ranked.sort_values(_ORDER, kind="stable").drop_duplicates("quantity")
    return ranked.merge(best[["quantity", *_VARIANT]], on=["quantity", *_VARIANT])


def of_own_batches(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what was measured with batches of another size than the cell's own."""
    sizes = sizes_named(rows["method"], batch_size_of)
    found: pd.DataFrame = rows[np.isnan(sizes) | (sizes == rows["batch_size"].to_numpy())]
    return found


def _kind(method: str) -> str:
    return method if batch_size_of(method) is None else method.rpartition("_")[0]
