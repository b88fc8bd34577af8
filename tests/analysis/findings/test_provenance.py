"""Where the numbers come from, by the records and the installed package alone."""

from __future__ import annotations

import shlex

from analysis.findings.provenance import provenance
from analysis.records.load import load_sweep


def test_environments_and_data_are_those_of_the_records(store, synthetic_sweep):
    """Two environments of two and one trials; device, host and threads as recorded."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)])
    sweep.plan()
    for trial, name in zip(sweep.trials(), ("env-a", "env-b", "env-a"), strict=True):
        sweep.train(trial, environment_id=name)
    found = provenance(load_sweep(store, "toy"), "a store")
    first, second = found.environments
    assert (first.environment_id, first.num_trials, second.num_trials) == ("env-a", 2, 1)
    assert (first.devices, first.hosts, first.num_threads) == (("CPU",), ("host",), 1)
    assert found.data_digests == (("cifar10", "digest"),)
    assert shlex.split(found.run_command) == [
        "minima",
        "run",
        "toy.yaml",
        "--store",
        "a store",
    ]
    assert shlex.split(found.report_command) == [
        "minima",
        "report",
        "toy",
        "--store",
        "a store",
    ]
