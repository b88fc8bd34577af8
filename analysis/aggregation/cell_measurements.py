"""View `cell_measurements`: every measured quantity averaged over the seeds of its cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.mathematics.soundness import is_sound
from analysis.records.cell import CELL_COLUMNS
from analysis.records.load import SweepData
from workers.contract.schema import VIEWS

_WHAT = [
    "statistic",
    "statistic_id",
    "quantity",
    "layer",
    "index",
    "method",
    "bn_mode",
    "split",
    "objective",
]


def cell_measurements(data: SweepData) -> pa.Table:
    """Average each quantity of each statistic over the seeds of each cell.

    mean = Σ x_i/n and stderr = sd(x; n - 1)/√n over the n seeds whose value is sound; `num_seeds`
    is n, and stderr is null for n = 1. Skipped measurements have no value and give no row.
    """
    wanted = [*CELL_COLUMNS, *_WHAT, "seed", "value"]
    rows = data.measurements.loc[data.measurements["skipped_reason"].isna(), wanted]
    group = rows.groupby([*CELL_COLUMNS, *_WHAT], dropna=False, sort=True).ngroup().to_numpy()
    order = np.lexsort((rows["seed"].to_numpy(), group))
    group = group[order]
    values = rows["value"].astype(float).where(is_sound(rows["value"])).to_numpy()[order]
    groups = pd.Series(values).groupby(group, sort=False)
    num_seeds, deviation = groups.count(), groups.std()
    first = order[np.flatnonzero(np.diff(group, prepend=-1))]
    labels = rows[[*CELL_COLUMNS, *_WHAT]].iloc[first].reset_index(drop=True)
    averaged = labels.assign(
        sweep=data.plan.sweep,
        num_seeds=num_seeds,
        mean=groups.mean(),
        stderr=deviation / np.sqrt(num_seeds.where(num_seeds > 0)),
        index=labels["index"].astype("Int64"),
    )
    return as_table("cell_measurements", averaged)


def as_table(view: str, frame: pd.DataFrame) -> pa.Table:
    """Return the Arrow table of a view from a frame with its columns; NaN becomes null."""
    schema = VIEWS[view]
    return pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
