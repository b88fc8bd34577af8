"""Where the numbers of a report come from, and what makes them again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pandas as pd

from analysis.findings.cost import num_threads
from analysis.records.load import SweepData
from workers.contract.distribution import installed_version


@dataclass(frozen=True)
class RecordedEnvironment:
    """What the records say of one environment; its id is a hash, of versions that no record names.

    Attributes:
        environment_id: The hash.
        devices: Names of GPUs, else of processors.
        device_shares: Shares of a GPU; 0 without one.
        hosts: Names of machines.
        code_digests: Of the source that trained; empty for records older than it.
        num_threads: Threads of a trial, from the plan.
        num_trials: Trained in it.
    """

    environment_id: str
    devices: tuple[str, ...]
    device_shares: tuple[float, ...]
    hosts: tuple[str, ...]
    code_digests: tuple[str, ...]
    num_threads: int
    num_trials: int


@dataclass(frozen=True)
class Provenance:
    """What to state beside the numbers.

    Attributes:
        version: Of the installed package that made the report; None where it is not installed.
        environments: Those that trained.
        measuring_code: Digests of the source that measured.
        data_digests: Of the decoded data, by the name of the data set.
        run_command: Makes the sweep again, from the resolved plan saved as a file.
        report_command: Makes the report again.
    """

    version: str | None
    environments: tuple[RecordedEnvironment, ...]
    measuring_code: tuple[str, ...]
    data_digests: tuple[tuple[str, str], ...]
    run_command: str
    report_command: str


def provenance(data: SweepData, store_uri: str) -> Provenance:
    """Collect where a sweep's numbers come from, of its records and the installed package alone."""
    trials = data.trials
    digests = trials[["dataset", "data_digest"]].drop_duplicates().itertuples(index=False)
    place = shlex.quote(store_uri)
    return Provenance(
        installed_version(),
        tuple(
            _environment(str(name), rows, num_threads(data))
            for name, rows in trials.groupby("environment_id")
        ),
        _distinct(data.measurements["code_digest"]),
        tuple(sorted((str(name), str(digest)) for name, digest in digests)),
        f"minima run {shlex.quote(f'{data.plan.sweep}.yaml')} --store {place}",
        f"minima report {shlex.quote(data.plan.sweep)} --store {place}",
    )


def _environment(name: str, rows: pd.DataFrame, threads: int) -> RecordedEnvironment:
    shares = tuple(sorted(rows["device_share"].astype(float).unique().tolist()))
    columns = (_distinct(rows[column]) for column in ("device", "host", "code_digest"))
    devices, hosts, code = columns
    return RecordedEnvironment(name, devices, shares, hosts, code, threads, len(rows))


def _distinct(column: pd.Series[str]) -> tuple[str, ...]:
    return tuple(sorted(map(str, column.dropna().unique())))
