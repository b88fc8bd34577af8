"""View `cell_measurements`: every measured quantity averaged over the seeds of its cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.mathematics.soundness import is_sound
from analysis.records.cell import CELL_COLUMNS
from analysis.records.load import SweepData
from analysis.records.pieces import pieces
from workers.contract.file_rows import in_codes
from workers.contract.schema import VIEWS

_GROUP = [
    *CELL_COLUMNS,
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
    columns = [*_GROUP, "seed", "value", "skipped_reason"]
    return pa.concat_tables(_averaged(rows, data.plan.sweep) for rows in pieces(data, columns))


def _averaged(rows: pd.DataFrame, sweep: str) -> pa.Table:
    """Average the rows of some cells."""
    rows = rows[rows["skipped_reason"].isna()]
    group = rows.groupby(_GROUP, dropna=False, sort=True, observed=True).ngroup().to_numpy()
    order = np.argsort(rows["seed"].to_numpy(), kind="stable")
    values = rows["value"].astype(float).where(is_sound(rows["value"])).to_numpy()[order]
    groups = pd.Series(values).groupby(group[order], sort=True, observed=True)
    num_seeds, deviation = groups.count(), groups.std()
    first = np.unique(group, return_index=True)[1]
    labels = rows[_GROUP].iloc[first].reset_index(drop=True)
    averaged = labels.assign(
        sweep=sweep,
        num_seeds=num_seeds,
        mean=groups.mean(),
        stderr=deviation / np.sqrt(num_seeds.where(num_seeds > 0)),
        index=labels["index"].astype("Int64"),
    )
    return as_table("cell_measurements", averaged)


def as_table(view: str, frame: pd.DataFrame) -> pa.Table:
    """Return the Arrow table of a view from a frame with its columns; NaN becomes null."""
    schema = VIEWS[view]
    is_coded = frame.dtypes.map(lambda dtype: isinstance(dtype, pd.CategoricalDtype))
    given = [
        coded if is_coded[coded.name] else field
        for field, coded in zip(schema, in_codes(schema), strict=True)
    ]
    found = pa.Table.from_pandas(frame[schema.names], pa.schema(given), preserve_index=False)
    return found.cast(schema)
