"""Which of several measurements of one quantity stands for it where there is room for one alone."""

from __future__ import annotations

import pandas as pd

from analysis.records.cell_values import WINDOW_QUANTITIES
from workers.contract.plan_document import PlanDocument

VARIANT = ["statistic_id", "method", "bn_mode", "split", "objective", "index"]
"""What tells several measurements of one quantity apart."""

_ORDER = ["is_other_split", "is_other_objective", "mode", "place_listed", "place", "method"]
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
    listed = {item.statistic_id: place for place, item in enumerate(plan.statistics)}
    index = rows["index"].astype(float)
    is_window = rows["quantity"].isin(WINDOW_QUANTITIES)
    ranked = rows.assign(
        is_other_split=rows["split"] != split,
        is_other_objective=rows["objective"] != objective,
        mode=rows["bn_mode"].map(_MODES),
        place_listed=rows["statistic_id"].map(listed),
        place=index.where(~is_window, -index).where(index.notna(), -float("inf")),
        index=index,
    )
    best = ranked.sort_values(_ORDER, kind="stable").drop_duplicates("quantity")
    return ranked.merge(best[["quantity", *VARIANT]], on=["quantity", *VARIANT])
