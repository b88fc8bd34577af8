"""The README's notebook; `tests/analysis/notebook/test_readme_notebook.py` runs it."""

import duckdb

from analysis import open_store

store = open_store("minima-store")  # or s3://…; a frame of each view: cells, measurements, …
cells = store.cells("quickstart")  # cells.attrs["columns"] has the unit and meaning of each column
traces = store.sql("SELECT batch_size, hessian_trace_mean FROM cells ORDER BY learning_rate")
table = store.table1("quickstart")  # shows itself; table.frame and table.to_latex() hold the same
figure = store.figure("trace_ratio", "quickstart")  # of Matplotlib; store.figures() lists the names
rows = duckdb.sql(  # without the views, which keep the first recorded: the attempt begun first
    "SELECT * EXCLUDE filename FROM read_parquet('minima-store/trials/*', filename = true) QUALIFY filename"
    " = first(filename ORDER BY filename NOT LIKE '%/compacted-%', filename) OVER (PARTITION BY trial_id)"
)
