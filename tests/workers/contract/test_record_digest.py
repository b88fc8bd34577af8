"""The digest of records: the same for the same ones, another for any others."""

from __future__ import annotations

import itertools

import pytest

from workers.contract.record_digest import RecordName, record_digest

RECORDS = [
    RecordName("trials", ("t1",), "2026-01-02", "a1"),
    RecordName("measurements", ("t1", "s1"), "2026-01-03", "a1"),
    RecordName("failures", ("t2", "a2"), "2026-01-04", "a2"),
]
TRIALS = ("t1", "t2")
DIGEST = record_digest(RECORDS, ["t1"], TRIALS)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_is_no_matter(order):
    """Of records and of trials."""
    assert record_digest((RECORDS[place] for place in order), ["t1"], TRIALS[::-1]) == DIGEST


def test_other_trials_are_no_matter():
    """Neither their records nor their networks."""
    other = RECORDS[0]._replace(key=("t3",))
    assert record_digest([*RECORDS, other], ["t1", "t3"], TRIALS) == DIGEST


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", RecordName._fields)
def test_every_part_of_every_record_matters(place, name):
    """View, id, time and attempt; and that the record is there."""
    others = {"view": "spectra", "key": ("t2", "s2"), "committed_at": "2027", "attempt_id": "a"}
    changed = [*RECORDS]
    changed[place] = changed[place]._replace(**{name: others[name]})
    assert record_digest(changed, ["t1"], TRIALS) != DIGEST
    del changed[place]
    assert record_digest(changed, ["t1"], TRIALS) != DIGEST


def test_kept_networks_and_trials_matter():
    """One more, and one less."""
    found = {
        record_digest(RECORDS, models, trials)
        for models in ([], ["t1"], ["t1", "t2"])
        for trials in (TRIALS, ("t1",))
    }
    assert len(found) == 5  # a network of a trial that is not asked for is none
