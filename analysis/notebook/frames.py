"""A view as a pandas frame that describes its columns."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.notebook.arguments import text
from analysis.records.plan import load_plan
from workers.contract.columns import ColumnFacts, column_facts
from workers.contract.store import Store


def view_of(store: Store, view: str, sweep: str | None) -> pd.DataFrame:
    """Return a view, or its rows of one sweep, with units and meanings in `attrs["columns"]`.

    Of a view without a column `sweep`, the rows of the trials in the sweep's current plan.

    Raises:
        UserError: There is no such sweep in the store, or the name is not text.
        StoreError: The store cannot be read.
    """
    rows = store.read(view)
    if sweep is not None:
        rows = _of_sweep(store, rows, text(sweep, f"{view}(sweep)", "the name of a sweep"))
    frame: pd.DataFrame = rows.to_pandas()
    return describe(frame, {name: column_facts(view, name) for name in frame.columns})


def describe(frame: pd.DataFrame, columns: dict[str, ColumnFacts]) -> pd.DataFrame:
    """Put the unit and the meaning of each column into the frame's `attrs["columns"]`."""
    frame.attrs["columns"] = {
        name: {"unit": facts.unit, "meaning": facts.meaning} for name, facts in columns.items()
    }
    return frame


def _of_sweep(store: Store, rows: pa.Table, sweep: str) -> pa.Table:
    plan = load_plan(store, sweep)
    if "sweep" in rows.schema.names:
        return rows.filter(pc.equal(rows["sweep"], pa.scalar(sweep)))
    planned = pa.array([item.trial_id for item in plan.trials], pa.string())
    return rows.filter(pc.is_in(rows["trial_id"], value_set=planned))
