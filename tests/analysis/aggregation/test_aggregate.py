from __future__ import annotations

import dataclasses

import pytest

from analysis.aggregation.aggregate import aggregate, aggregate_records
from analysis.records.load import load_sweep
from workers.contract.commits import DERIVED_VIEWS
from workers.contract.compaction import compact
from workers.contract.errors import UserError


def test_the_derived_views_are_written(store, synthetic_sweep):
    """What the job returns is what the store then holds."""
    synthetic_sweep().fill()
    found = aggregate(store, "toy")
    for view in DERIVED_VIEWS:
        assert store.read(view).equals(getattr(found, view))
        assert getattr(found, view).num_rows > 0


def test_aggregating_again_replaces_and_leaves_other_sweeps(store, synthetic_sweep):
    """The same records give the same rows; another sweep's rows stay."""
    synthetic_sweep(pairs=[(100, 0.1)]).fill()
    synthetic_sweep(name="other", pairs=[(100, 0.1)]).plan()
    aggregate(store, "other")
    first = aggregate(store, "toy")
    second = aggregate(store, "toy")
    for field in dataclasses.fields(first):
        assert getattr(first, field.name).equals(getattr(second, field.name))
    assert sorted(store.read("cells").column("sweep").to_pylist()) == ["other", "toy"]


def test_shared_trials_serve_both_sweeps(store, synthetic_sweep):
    """Selection is by identity: a sweep whose trials another ran is complete."""
    synthetic_sweep().fill()
    synthetic_sweep(name="subset", pairs=[(100, 0.1)], seeds=[0, 1]).plan()
    (cell,) = aggregate(store, "subset").cells.to_pylist()
    assert (cell["complete"], cell["num_seeds"]) == (True, 2)
    assert cell["gradient_noise_trace_mean"] == pytest.approx(100.5)


def test_compaction_changes_no_derived_number(store, synthetic_sweep):
    """Values before and after merging the store's files are equal."""
    synthetic_sweep().fill()
    before = aggregate_records(load_sweep(store, "toy"))
    compact(store)
    after = aggregate_records(load_sweep(store, "toy"))
    for field in dataclasses.fields(before):
        assert getattr(before, field.name).equals(getattr(after, field.name))


def test_an_unknown_sweep_is_bad_input(store):
    """Nothing is written for a sweep that is not there."""
    with pytest.raises(UserError, match="no sweep 'toy' in the store"):
        aggregate(store, "toy")
    assert store.names("", recursive=True) == []
