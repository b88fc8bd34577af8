"""The same question without this project: mean and spread of every measured quantity over all trials.

    python tests/benchmarks/scale/scale_peers.py duckdb|pandas STORE
    python tests/benchmarks/scale/scale_peers.py mlflow-write STORE RUNS
    python tests/benchmarks/scale/scale_peers.py mlflow RUNS

Prints CSV. DuckDB and pandas take every row of every file: no digest is checked, no record is judged, and of an
attempt made twice both count. MLflow gets one run a trial in a file store, every measurement a metric.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

QUERY = (
    "SELECT quantity, layer, objective, count(*) AS num_rows, avg(value) AS mean,"
    " stddev_samp(value) AS spread FROM {rows} GROUP BY ALL ORDER BY ALL"
)
"""Asked of the view by `minima query`, and of the files by DuckDB."""

_ALLOW_FILES = "MLFLOW_ALLOW_FILE_STORE"
"""Without it newer versions refuse a file store, which they no longer develop."""

_COLUMNS = ["quantity", "layer", "objective"]


def by_duckdb(store: str) -> None:
    """Aggregate in SQL straight over the folder."""
    import duckdb

    sql = QUERY.format(rows=f"read_parquet('{store}/measurements/*.parquet', union_by_name = true)")
    sys.stdout.write(duckdb.sql(sql).df().to_csv(index=False))


def by_pandas(store: str) -> None:
    """Read the folder and group."""
    import pandas as pd

    rows = pd.read_parquet(f"{store}/measurements", columns=[*_COLUMNS, "value"])
    found = rows.groupby(_COLUMNS, dropna=False)["value"].agg(["size", "mean", "std"])
    sys.stdout.write(found.reset_index().to_csv(index=False))


def write_mlflow(store: str, runs: str) -> None:
    """Log each trial as a run."""
    import duckdb
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=Path(runs).resolve().as_uri())
    experiment = client.create_experiment("big")
    rows = duckdb.sql(
        "SELECT trial_id, concat_ws('.', quantity, objective, split, layer) AS name, value"  # noqa: S608 - a path of ours
        f" FROM read_parquet('{store}/measurements/*.parquet') ORDER BY trial_id"
    ).df()
    for trial_id, group in rows.groupby("trial_id"):
        run = client.create_run(experiment, tags={"trial_id": trial_id})
        found = zip(group["name"], group["value"], strict=True)
        client.log_batch(run.info.run_id, [Metric(name, value, 0, 0) for name, value in found])
        client.set_terminated(run.info.run_id)


def by_mlflow(runs: str) -> None:
    """Read all runs and take the mean and spread of each metric."""
    import mlflow

    mlflow.set_tracking_uri(Path(runs).resolve().as_uri())
    found = mlflow.search_runs(experiment_names=["big"], max_results=10**6)
    metrics = found.filter(like="metrics.")
    sys.stdout.write(metrics.agg(["size", "mean", "std"]).T.to_csv())


PEERS: dict[str, Callable[..., None]] = {
    "duckdb": by_duckdb,
    "pandas": by_pandas,
    "mlflow": by_mlflow,
    "mlflow-write": write_mlflow,
}

if __name__ == "__main__":
    os.environ[_ALLOW_FILES] = "true"
    PEERS[sys.argv[1]](*sys.argv[2:])
