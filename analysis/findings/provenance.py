"""Where the numbers of a report come from, and what makes them again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd
from pydantic import ValidationError

from analysis.findings.cost import num_threads
from analysis.records.load import SweepData
from workers.contract.distribution import installed_version
from workers.contract.environment_facts import EnvironmentFacts

Counts: TypeAlias = tuple[tuple[str | None, int], ...]
"""Of values their numbers of trials, the most frequent first; None where a record has none."""


@dataclass(frozen=True)
class RecordedEnvironment:
    """What the records say of one environment.

    Attributes:
        environment_id: The hash.
        facts: What it is the hash of; None where only an earlier version recorded it.
        devices: Names of GPUs, else of processors.
        device_shares: Shares of a GPU; 0 without one.
        hosts: Names of machines.
        python_versions: None in earlier records, as the following.
        code_versions: Of the package that trained; None where it was not installed.
        code_commits: Of the code that trained; None where nothing told it.
        code_digests: Of the source that trained.
        num_threads: Threads of a trial, from the plan where no record has them.
        num_trials: Trained in it.
    """

    environment_id: str
    facts: EnvironmentFacts | None
    devices: tuple[str, ...]
    device_shares: tuple[float, ...]
    hosts: Counts
    python_versions: Counts
    code_versions: Counts
    code_commits: Counts
    code_digests: Counts
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
            for name, rows in trials.groupby("environment_id", observed=True)
        ),
        _distinct(data.measurements["code_digest"]),
        tuple(sorted((str(name), str(digest)) for name, digest in digests)),
        f"minima run {shlex.quote(f'{data.plan.sweep}.yaml')} --store {place}",
        f"minima report {shlex.quote(data.plan.sweep)} --store {place}",
    )


def differing_facts(environments: Sequence[EnvironmentFacts]) -> tuple[str, ...]:
    """Return the names of the facts in which environments differ."""
    known = [each.model_dump() for each in environments]
    return tuple(
        name
        for name in EnvironmentFacts.model_fields
        if any(each[name] != known[0][name] for each in known)
    )


def _environment(name: str, rows: pd.DataFrame, planned_threads: int) -> RecordedEnvironment:
    facts = next(filter(None, map(_facts, _distinct(rows["environment"]))), None)
    return RecordedEnvironment(
        name,
        facts,
        _distinct(rows["device"]),
        tuple(sorted(rows["device_share"].astype(float).unique().tolist())),
        _counts(rows["host"]),
        _counts(rows["python_version"]),
        _counts(rows["code_version"]),
        _counts(rows["code_commit"]),
        _counts(rows["code_digest"]),
        planned_threads if facts is None else facts.intra_op_threads,
        len(rows),
    )


def _facts(text: str) -> EnvironmentFacts | None:
    """Decode a record; that of a later version may hold what this one does not know."""
    try:
        return EnvironmentFacts.model_validate_json(text)
    except ValidationError:
        return None


def _counts(column: pd.Series[str]) -> Counts:
    counts = Counter(text if isinstance(text, str) else None for text in column)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0] or "")))


def _distinct(column: pd.Series[str]) -> tuple[str, ...]:
    return tuple(sorted(map(str, column.dropna().unique())))
