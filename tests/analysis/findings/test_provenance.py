"""Where the numbers come from, by the records and the installed package alone."""

from __future__ import annotations

import shlex

from analysis.findings.provenance import differing_facts, provenance
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
    assert (first.devices, first.hosts, first.num_threads) == (("CPU",), (("host", 2),), 1)
    assert first.facts is second.facts is None
    assert first.code_commits == first.python_versions == ((None, 2),)
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


def test_one_record_decodes_its_environment(store, synthetic_sweep, environment_facts):
    """Equal ids are of equal facts; what the other records hold is counted, and nothing else assumed."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)])
    sweep.plan()
    facts = environment_facts(intra_op_threads=7)
    for trial, recorded in zip(
        sweep.trials(),
        (
            {},
            {"environment": facts.for_record(), "code_commit": "c", "python_version": "3.12.1"},
            {},
        ),
        strict=True,
    ):
        sweep.train(trial, **recorded)
    (found,) = provenance(load_sweep(store, "toy"), "a store").environments
    assert (found.facts, found.num_threads, found.num_trials) == (facts, 7, 3)
    assert found.code_commits == ((None, 2), ("c", 1))
    assert found.python_versions == ((None, 2), ("3.12.1", 1))


def test_a_record_that_is_not_understood_is_a_hash_alone(store, synthetic_sweep):
    """As that of a later version may be."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)])
    sweep.plan()
    for trial, text in zip(sweep.trials(), ('{"jax": "1"}', "no JSON", "3"), strict=True):
        sweep.train(trial, environment=text)
    (found,) = provenance(load_sweep(store, "toy"), "a store").environments
    assert (found.facts, found.num_trials) == (None, 3)


def test_facts_that_differ_are_named(environment_facts):
    """In the order of the record; none of equal ones, of one, or of none."""
    one, other = environment_facts(), environment_facts(xla_flags=["--xla_a"], numpy="1")
    assert differing_facts([one, one, other]) == ("numpy", "xla_flags")
    assert differing_facts([one, one]) == differing_facts([one]) == differing_facts([]) == ()
